import { messageOf } from "../../../core/errors/error.js";
import type { Logger } from "../../../core/plugin/logger.js";
import type { LogState } from "./checkpoint-message.js";
import type { DiskFile } from "./log-file.js";

export interface CheckpointerParts {
  /** Asks the writing connection; touches no file. */
  readonly state: () => Promise<LogState>;
  /** Copies what it can, beside the writer. Where that was all, both files are on the disk afterwards. */
  readonly checkpoint: () => Promise<LogState>;
  /** The database, by a descriptor of our own that is closed after all connections. */
  readonly data: Pick<DiskFile, "datasync">;
  readonly logger: Logger;
  /** Milliseconds of a clock that never steps. */
  readonly now?: () => number;
  /** From how many frames on the log is copied. */
  readonly minFrames?: number;
}

/**
 * Has the log copied into the database, so that SQLite begins it anew instead of making it longer. That takes two steps: most is
 * copied and put on the disk while transactions go on; then, between two of them, the little that came meanwhile. Without the second step
 * the log of a busy server would never be copied to its end, and grow for ever.
 */
export class Checkpointer {
  readonly #minFrames: number;
  readonly #now: () => number;
  /** The first step, while it is under way. */
  #copying: Promise<void> | null = null;
  #isCopied = false;
  #rounds = 0;
  /** Frames of a log that could not be copied to its end, e.g. because of a backup that reads. */
  #stuckAt = 0;
  #failures = 0;
  #pausedUntil = Number.NEGATIVE_INFINITY;
  /** What the disk has not taken. */
  #lost: unknown = null;

  constructor(private readonly parts: CheckpointerParts) {
    this.#minFrames = parts.minFrames ?? MIN_FRAMES;
    this.#now = parts.now ?? (() => performance.now());
  }

  /** Runs between two transactions. @throws when the disk has not taken what was copied */
  async upkeep(): Promise<void> {
    if (this.#lost !== null) throw this.#lost;
    if (this.#copying !== null) return;
    this.#rounds += 1;
    if (!this.#isCopied && this.#rounds % LOOK_EVERY !== 0) return;
    if (this.#now() < this.#pausedUntil) return;
    await this.#attempt(async () => {
      const { log } = await this.parts.state();
      // Where nobody wrote meanwhile the first step was the whole.
      if (log < this.#minFrames) this.#isCopied = false;
      else if (this.#isCopied) await this.#finish();
      else if (log >= this.#stuckAt + this.#minFrames || log < this.#stuckAt) this.#begin();
    });
    if (this.#lost !== null) throw this.#lost;
  }

  /** Waits for what is under way. */
  async close(): Promise<void> {
    await this.#copying;
  }

  #begin(): void {
    this.#copying = this.#attempt(async () => {
      await this.#copy();
      this.#isCopied = true;
      this.#failures = 0;
    }).finally(() => {
      this.#copying = null;
    });
  }

  async #copy(): Promise<void> {
    const { checkpoint, data } = this.parts;
    for (let [pass, before] = [0, 0]; pass < MAX_PASSES; pass += 1) {
      const { checkpointed } = await checkpoint();
      // SQLite does it only when it has copied all.
      await data.datasync().catch((error: unknown) => {
        this.#lost = error;
        throw error;
      });
      if (checkpointed - before < FEW_FRAMES) return;
      before = checkpointed;
    }
  }

  async #finish(): Promise<void> {
    this.#isCopied = false;
    const { log, checkpointed } = await this.parts.checkpoint();
    this.#stuckAt = checkpointed === log ? 0 : log;
  }

  async #attempt(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (isUnflushed(error)) this.#lost = error;
      if (this.#lost !== null) return;
      const pauseMs = Math.min(FIRST_PAUSE_MS * 2 ** this.#failures, MAX_PAUSE_MS);
      this.#failures += 1;
      this.#pausedUntil = this.#now() + pauseMs;
      this.parts.logger.warn("the write-ahead log could not be copied into the database, and grows meanwhile", {
        error: messageOf(error),
        againInSeconds: pauseMs / 1000,
      });
    }
  }
}

// --- internal ---

const MIN_FRAMES = 1_000; // as SQLite itself, https://www.sqlite.org/pragma.html#pragma_wal_autocheckpoint
const LOOK_EVERY = 8;
const MAX_PASSES = 4;
// Copied and flushed in some milliseconds.
const FEW_FRAMES = 100;
const FIRST_PAUSE_MS = 1_000;
const MAX_PAUSE_MS = 60_000;

/** After this SQLite would copy less the next time than is missing on the disk. */
function isUnflushed(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "SQLITE_IOERR_FSYNC";
}
