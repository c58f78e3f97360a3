import { closeSync, ftruncateSync, openSync, writeSync } from "node:fs";
import { toDiskError } from "../../core/errors/disk-error.js";
import type { MezError } from "../../core/errors/error.js";
import type { RecordingWriter } from "./api.js";
import { AsciicastEncoder, type AsciicastHeader } from "./asciicast.js";

export interface SpooledRecordingOptions {
  readonly path: string;
  readonly header: AsciicastHeader;
  /** Output that is recorded without a terminal; 0 for all. */
  readonly maxExecOutputBytes: number;
  /** Milliseconds, only ever growing. */
  readonly monotonicMs: () => number;
  /** Called once, when the file is whole: `interrupted` when something could not be written. */
  readonly onClosed: (interrupted: boolean) => void;
}

/**
 * Writes one recording to its file, in batches: a small one after at most a tenth of a second, a large one at once. Writes
 * wait for the disk, so that nothing piles up in memory when output comes faster than the disk takes it.
 */
export class SpooledRecording implements RecordingWriter {
  readonly #options: SpooledRecordingOptions;
  readonly #encoder: AsciicastEncoder;
  readonly #beganMs: number;
  readonly #listeners: ((error: MezError) => void)[] = [];
  #file: number | null;
  #waiting = "";
  #timer: NodeJS.Timeout | null = null;
  #flushedBytes = 0;
  #outputBytes = 0;
  #cut = false;
  #ended = false;
  #failure: MezError | null = null;

  /** Creates the file. Throws what the file system throws, e.g. `EEXIST`. */
  constructor(options: SpooledRecordingOptions) {
    this.#options = options;
    this.#encoder = new AsciicastEncoder(options.header);
    this.#beganMs = options.monotonicMs();
    this.#file = openSync(options.path, "wx", 0o600);
    try {
      this.#write(this.#encoder.header());
    } catch (error) {
      closeSync(this.#file);
      throw error;
    }
  }

  /** Bytes in the file, always whole lines. */
  get flushedBytes(): number {
    return this.#flushedBytes;
  }

  output(bytes: Buffer): void {
    if (this.#file === null || this.#failure !== null || this.#cut) return;
    const { header, maxExecOutputBytes: limit } = this.#options;
    const room = header.terminal !== null || limit === 0 ? Number.POSITIVE_INFINITY : limit - this.#outputBytes;
    this.#outputBytes += bytes.length;
    this.#add(this.#encoder.output(bytes.length > room ? bytes.subarray(0, room) : bytes, this.#elapsedMs()));
    if (bytes.length <= room) return;
    this.#cut = true;
    this.#add(this.#encoder.end(this.#elapsedMs()));
    this.#add(this.#encoder.remark(`mezite records the first ${limit} bytes of a command's output`, this.#elapsedMs()));
  }

  resize(columns: number, rows: number): void {
    if (this.#file !== null && this.#failure === null) this.#add(this.#encoder.resize(columns, rows, this.#elapsedMs()));
  }

  onFailure(listener: (error: MezError) => void): void {
    this.#listeners.push(listener);
    const failure = this.#failure;
    if (failure !== null) queueMicrotask(() => listener(failure));
  }

  async close(): Promise<void> {
    if (this.#file !== null && this.#failure === null && !this.#cut) this.#add(this.#encoder.end(this.#elapsedMs()));
    this.suspend();
    if (this.#ended) return;
    this.#ended = true;
    this.#options.onClosed(this.#failure !== null);
  }

  /** Writes what waits and closes the file, without saying that the recording has ended. */
  suspend(): void {
    if (this.#file === null) return;
    this.#flush();
    closeSync(this.#file);
    this.#file = null;
  }

  #elapsedMs(): number {
    return this.#options.monotonicMs() - this.#beganMs;
  }

  #add(lines: string): void {
    this.#waiting += lines;
    if (this.#waiting.length >= BATCH_CHARACTERS) this.#flush();
    else if (this.#waiting !== "") this.#timer ??= setTimeout(() => this.#flush(), BATCH_MS).unref();
  }

  #flush(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    const lines = this.#waiting;
    this.#waiting = "";
    if (lines === "" || this.#failure !== null) return;
    try {
      this.#write(lines);
    } catch (error) {
      const failure = toDiskError(error, "the recording of this session");
      this.#failure = failure;
      for (const listener of this.#listeners) queueMicrotask(() => listener(failure));
    }
  }

  #write(lines: string): void {
    const file = this.#file as number;
    const bytes = Buffer.from(lines);
    let done = 0;
    try {
      while (done < bytes.length) done += writeSync(file, bytes, done, bytes.length - done);
    } catch (error) {
      // A line that was cut short would spoil the whole recording.
      done = bytes.subarray(0, done).lastIndexOf(NEWLINE) + 1;
      ftruncateSync(file, this.#flushedBytes + done);
      throw error;
    } finally {
      this.#flushedBytes += done;
    }
  }
}

// --- internal ---

const BATCH_CHARACTERS = 128 * 1024;
const BATCH_MS = 100;
const NEWLINE = 0x0a;
