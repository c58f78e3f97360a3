/** Runs `recheck` after changes of any of `sources`: once for those of one turn of the event loop. */
export class PolicyWatch {
  readonly #stops: readonly (() => void)[];
  #pending: NodeJS.Immediate | null = null;

  constructor(sources: readonly { onChange(listener: () => void): () => void }[], recheck: () => void) {
    // Later, not at once: others who follow the same change, e.g. with caches of decisions, come first.
    const schedule = () => {
      this.#pending ??= setImmediate(() => {
        this.#pending = null;
        recheck();
      });
    };
    this.#stops = sources.map((source) => source.onChange(schedule));
  }

  stop(): void {
    for (const stop of this.#stops) stop();
    if (this.#pending !== null) clearImmediate(this.#pending);
  }
}
