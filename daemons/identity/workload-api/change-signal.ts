/** Counts the changes of something, and wakes those who wait for the next. */
export class ChangeSignal {
  #version = 0;
  #waiting = new Set<() => void>();

  get version(): number {
    return this.#version;
  }

  /** Something has changed. */
  raise(): void {
    this.#version += 1;
    const woken = this.#waiting;
    this.#waiting = new Set();
    for (const wake of woken) wake();
  }

  /** Ends at the first change after `version`, which may have been already, at `signal`, or after `milliseconds`. */
  after(version: number, milliseconds: number, signal: AbortSignal): Promise<void> {
    if (version !== this.#version || signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const end = (): void => {
        clearTimeout(timer);
        signal.removeEventListener("abort", end);
        this.#waiting.delete(end);
        resolve();
      };
      const timer = setTimeout(end, Math.max(0, milliseconds));
      timer.unref();
      this.#waiting.add(end);
      signal.addEventListener("abort", end);
    });
  }
}
