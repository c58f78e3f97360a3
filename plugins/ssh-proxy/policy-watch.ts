/** What decisions may have changed for: the nodes of these names, or `all`. */
export type Changed = ReadonlySet<string> | "all";

/** Tells of a change, and of which entry. */
interface Source {
  onChange(listener: (name: string) => void): () => void;
}

/**
 * Runs `recheck` after changes: once for those of one turn of the event loop. What a node says of itself concerns the sessions
 * to that node alone; with thousands of nodes there is always one that does.
 */
export class PolicyWatch {
  readonly #stops: readonly (() => void)[];
  #changed: Set<string> | "all" = new Set();
  #pending: NodeJS.Immediate | null = null;

  /**
   * @param nodes Changes by the name of a node.
   * @param others What decisions about every session depend on.
   */
  constructor(
    nodes: Source,
    others: readonly { onChange(listener: () => void): () => void }[],
    private readonly recheck: (changed: Changed) => void,
  ) {
    this.#stops = [
      nodes.onChange((name) => {
        if (this.#changed !== "all") this.#changed.add(name);
        this.#schedule();
      }),
      ...others.map((source) =>
        source.onChange(() => {
          this.#changed = "all";
          this.#schedule();
        }),
      ),
    ];
  }

  stop(): void {
    for (const stop of this.#stops) stop();
    if (this.#pending !== null) clearImmediate(this.#pending);
  }

  // Later, not at once: others who follow the same change, e.g. with caches of decisions, come first.
  #schedule(): void {
    this.#pending ??= setImmediate(() => {
      const changed = this.#changed;
      this.#pending = null;
      this.#changed = new Set();
      this.recheck(changed);
    });
  }
}

/** Whether what changed can concern the sessions to a node. */
export function concerns(changed: Changed, node: string): boolean {
  return changed === "all" || changed.has(node);
}
