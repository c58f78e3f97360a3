import { type CommitNote, writeNote } from "./commit-note.js";

/**
 * Decides how the other servers hear of commits. One that comes after a while tells with its commit. Those right after it are
 * told of together a moment later, so that servers that write all the time do not wake each other for each commit.
 */
export class CommitTeller {
  #toldAt = Number.NEGATIVE_INFINITY;
  #untold: CommitNote | null = null;
  #timer: NodeJS.Timeout | null = null;
  #sending: Promise<void> | null = null;

  /**
   * @param send Tells now; may fail, since others ask by themselves.
   * @param now Milliseconds of a clock that never steps.
   */
  constructor(
    private readonly send: (note: string) => Promise<unknown>,
    private readonly now: () => number = () => performance.now(),
  ) {}

  /** Asked before a commit. @returns What it has to tell; `null` when it is told of later. */
  before(note: CommitNote): string | null {
    if (this.now() - this.#toldAt < TOGETHER_MS) return null;
    this.#toldAt = this.now();
    this.#untold = null;
    return writeNote(note);
  }

  /** The commit was made without a note. */
  madeSilently(note: CommitNote): void {
    this.#untold = note;
    this.#timer ??= setTimeout(() => this.#tell(), TOGETHER_MS).unref();
  }

  /** Tells what is left. */
  async close(): Promise<void> {
    this.#tell();
    await this.#sending;
  }

  #tell(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    if (this.#untold === null) return;
    const text = writeNote(this.#untold);
    this.#untold = null;
    this.#toldAt = this.now();
    this.#sending = this.send(text).then(
      () => undefined,
      () => undefined,
    );
  }
}

// --- internal ---

const TOGETHER_MS = 20;
