/** Counts who still needs a piece of memory that several may keep, and gives it back once, when none of them does. */
export class SharedKeep {
  #keepers = 0;

  /** @param release Called after the last keeper is done. */
  constructor(private readonly release: () => void) {}

  /** One more keeper. Call the answer when it is done; later calls do nothing. */
  keep(): () => void {
    this.#keepers += 1;
    let isDone = false;
    return () => {
      if (isDone) return;
      isDone = true;
      this.#keepers -= 1;
      if (this.#keepers === 0) this.release();
    };
  }
}
