import { readFileSync } from "node:fs";

/** How often one looks. */
export const LOOK_MS = 500;
/** How long a process may stand still by itself. */
export const STAND_STILL_MS = 10_000;

/**
 * How long a process has answered nothing by its own fault. On a machine that has too much to do, one that is well answers late too: what
 * it waited for a processor does not count, nor does a time in which we were late ourselves. After a minute it counts all the same.
 */
export class StandStill {
  #ownMs = 0;
  #lookedAtMs: number;

  /** @param waitedMs How long the process has waited for a processor in its life; see `processorWaitMs`. */
  constructor(
    private readonly beganAtMs: number,
    private readonly waitedMs: number,
  ) {
    this.#lookedAtMs = beganAtMs;
  }

  /** To be asked every `LOOK_MS`. */
  isTooLong(nowMs: number, waitedMs: number): boolean {
    const sinceMs = nowMs - this.#lookedAtMs;
    this.#lookedAtMs = nowMs;
    if (sinceMs < LOOK_MS * LATE) this.#ownMs += sinceMs;
    return this.#ownMs - (waitedMs - this.waitedMs) >= STAND_STILL_MS || nowMs - this.beganAtMs >= MOST_MS;
  }
}

/** How long the first thread of a process has been ready and had no processor, since it began; 0 where that cannot be known. @see proc_pid_schedstat */
export function processorWaitMs(pid: number): number {
  try {
    return Number(readFileSync(`/proc/${pid}/schedstat`, "utf8").split(" ")[1]) / 1_000_000;
  } catch {
    return 0;
  }
}

// --- internal ---

const LATE = 1.5;
const MOST_MS = 60_000;
