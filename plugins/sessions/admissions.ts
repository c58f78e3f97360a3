import type { RefusedSession } from "./live-session.js";

/** Sessions that wait for the auth service's word on whether they may be. */
export class Admissions {
  readonly #waiting = new Map<
    string,
    { readonly promise: Promise<string | null>; readonly answer: (reason: string | null) => void }
  >();

  /** Ids of those that wait. */
  get waiting(): readonly string[] {
    return [...this.#waiting.keys()];
  }

  /** Why the session may not be; `null` when it may, or when nobody says so in time. */
  wait(id: string): Promise<string | null> {
    const known = this.#waiting.get(id);
    if (known !== undefined) return known.promise;
    let late: NodeJS.Timeout | undefined;
    let answer: (reason: string | null) => void = () => undefined;
    const promise = new Promise<string | null>((resolve) => {
      answer = resolve;
      late = setTimeout(resolve, PATIENCE_MS, null).unref();
    }).finally(() => {
      clearTimeout(late);
      this.#waiting.delete(id);
    });
    this.#waiting.set(id, { promise, answer });
    return promise;
  }

  /** @param asked Ids that the auth service has heard of. */
  answer(asked: readonly string[], refused: readonly RefusedSession[]): void {
    for (const id of asked) this.#waiting.get(id)?.answer(refused.find((refusal) => refusal.id === id)?.reason ?? null);
  }

  /** The auth service cannot be reached. */
  giveUp(): void {
    for (const { answer } of this.#waiting.values()) answer(null);
  }
}

// --- internal ---

const PATIENCE_MS = 5_000;
