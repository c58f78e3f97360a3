import { messageOf } from "../errors/error.js";
import type { Logger } from "../plugin/logger.js";
import type { SharedStorage } from "../ports/storage-driver.js";
import { type CommitNote, readNote } from "./commit-note.js";

export interface OutboxPollParts {
  /** Takes in what other servers have committed. */
  look(): Promise<void>;
  /** Whether a commit that was told of is known already. */
  hasSeen(note: CommitNote): boolean;
  /** Whether a transaction is about to look by itself. */
  isWriting(): boolean;
  readonly shared: Pick<SharedStorage, "listen">;
  readonly logger: Logger;
  /** Default 500. */
  readonly everyMs?: number;
}

/** Looks for commits of other servers: as soon as the database tells of one, and twice a second in any case. */
export class OutboxPoll {
  #timer: NodeJS.Timeout | null = null;
  #later: NodeJS.Timeout | null = null;
  /** The last commit that a transaction is to see. */
  #awaited: CommitNote | null = null;
  #unlisten: (() => Promise<void>) | null = null;
  #looking: Promise<void> | null = null;
  #again = false;
  #isSilent = false;
  /** When the look began whose answer came last, on the monotonic clock. */
  #heardAt = performance.now();

  constructor(private readonly parts: OutboxPollParts) {}

  /** Since when changes may have been missed. */
  silentSeconds(): number {
    return Math.max(0, performance.now() - this.#heardAt) / 1000;
  }

  async start(): Promise<void> {
    this.#heardAt = performance.now();
    await this.parts.look();
    this.#unlisten = this.parts.shared.listen((note) => this.#told(readNote(note)));
    this.#timer = setInterval(() => this.#look(), this.parts.everyMs ?? 500);
    this.#timer.unref();
  }

  async stop(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    await this.#unlisten?.();
    if (this.#later !== null) clearTimeout(this.#later);
    await this.#looking;
  }

  #told(note: CommitNote | null): void {
    if (note === null) return this.#look();
    if (this.parts.hasSeen(note)) return;
    if (!this.parts.isWriting()) return this.#look();
    this.#awaited = note;
    this.#later ??= setTimeout(() => {
      this.#later = null;
      if (this.#awaited !== null && !this.parts.hasSeen(this.#awaited)) this.#look();
    }, WRITING_MS).unref();
  }

  #look(): void {
    if (this.#looking !== null) {
      this.#again = true;
      return;
    }
    this.#again = false;
    const askedAt = performance.now();
    this.#looking = this.parts
      .look()
      .then(() => {
        this.#heardAt = askedAt;
        this.#heard(true);
      })
      .catch((error: unknown) => this.#heard(false, error))
      .then(() => {
        this.#looking = null;
        if (this.#again && !this.#isSilent) this.#look();
      });
  }

  #heard(ok: boolean, error?: unknown): void {
    if (ok && this.#isSilent) this.parts.logger.info("the database answers again");
    if (!ok && !this.#isSilent) this.parts.logger.warn("cannot ask the database for changes", { error: messageOf(error) });
    this.#isSilent = !ok;
  }
}

// --- internal ---

// For how long the look of a transaction is waited for: a few round trips to the database.
const WRITING_MS = 10;
