import type { Guard, GuardRefusal, GuardSubject } from "../../core/ports/guard.js";

/** A port `guard` with one guard that refuses whom the test says. */
export class FakeGuards implements Guard {
  readonly #listeners = new Set<() => void>();
  #refuses: (subject: GuardSubject) => boolean = () => false;

  all(): readonly Guard[] {
    return [this];
  }

  /** Refuses the subjects that `refuses` picks from now on, as locked by `lock 7f3a`. */
  refuse(refuses: (subject: GuardSubject) => boolean): void {
    this.#refuses = refuses;
    for (const listener of [...this.#listeners]) listener();
  }

  refusal(subject: GuardSubject): GuardRefusal | null {
    return this.#refuses(subject) ? { message: "locked for a test", detail: "lock 7f3a" } : null;
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }
}
