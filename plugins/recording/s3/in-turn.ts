/** Does work under one name one piece after the other, and under different names at once. */
export class InTurn {
  readonly #last = new Map<string, Promise<unknown>>();

  async run<T>(name: string, work: () => Promise<T>): Promise<T> {
    const turn = (this.#last.get(name) ?? Promise.resolve()).catch(() => undefined).then(work);
    this.#last.set(name, turn);
    try {
      return await turn;
    } finally {
      if (this.#last.get(name) === turn) this.#last.delete(name);
    }
  }

  /** Resolves when everything that was begun until now is over. */
  async idle(): Promise<void> {
    await Promise.allSettled(this.#last.values());
  }
}
