import { setTimeout as sleep } from "node:timers/promises";
import { messageOf } from "../errors/error.js";
import type { ServingPatience } from "../plugin/dialer.js";
import { mayBeginLater } from "./not-begun.js";

/**
 * Makes calls that servers refuse at their door again each second, whatever they do: none of the servers has looked at them. A database
 * that changes over to its standby is away for some seconds, which a person's command is not to fail for.
 */
export class UntilServed {
  #hasSaidSo = false;

  /** @param patience Without one, what fails has failed. */
  constructor(private readonly patience: ServingPatience | undefined) {}

  /** @throws {MezError} What `call` throws, in the end. */
  async make<Result>(call: () => Promise<Result>, signal?: AbortSignal): Promise<Result> {
    const { seconds = 0, onWait, signal: over } = this.patience ?? {};
    const until = performance.now() + seconds * 1000;
    const stop = AbortSignal.any([signal, over].filter((each) => each !== undefined));
    for (;;) {
      try {
        return await call();
      } catch (error) {
        if (!mayBeginLater(error) || stop.aborted || performance.now() + BETWEEN_MS > until) throw error;
        if (!this.#hasSaidSo) onWait?.(messageOf(error));
        this.#hasSaidSo = true;
      }
      await sleep(BETWEEN_MS, undefined, { signal: stop }).catch(() => {});
    }
  }
}

// --- internal ---

const BETWEEN_MS = 1_000;
