import { appendFileSync, existsSync, mkdirSync, readFileSync, renameSync, truncateSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";

/** An event as the queue keeps it. Survives JSON. */
export interface QueuedEvent {
  readonly id: string;
  readonly [field: string]: unknown;
}

/** A first-in, first-out queue in a file of JSON lines, so that events outlive the process. One process uses the file. */
export class ReportQueue {
  readonly #path: string;
  readonly #maxBytes: number;
  #waiting: QueuedEvent[] = [];
  #fileBytes = 0;
  /** Bytes at the beginning of the file whose events have been taken off. */
  #doneBytes = 0;

  constructor(path: string, maxBytes: number) {
    this.#path = path;
    this.#maxBytes = maxBytes;
  }

  /** Reads what an earlier process left behind. A line that a crash cut short is dropped. */
  open(): void {
    mkdirSync(dirname(this.#path), { recursive: true, mode: 0o700 });
    if (!existsSync(this.#path)) writeFileSync(this.#path, "", { mode: 0o600 });
    const left = readFileSync(this.#path, "utf8").split("\n").flatMap(parseLine);
    this.#waiting = left;
    this.#rewrite();
  }

  get size(): number {
    return this.#waiting.length;
  }

  /** `false` when the queue is full. Throws when the file cannot be written. */
  add(event: QueuedEvent): boolean {
    const line = lineOf(event);
    if (this.#fileBytes - this.#doneBytes + line.length > this.#maxBytes) return false;
    appendFileSync(this.#path, line);
    this.#fileBytes += line.length;
    this.#waiting.push(event);
    return true;
  }

  /** The oldest events, without taking them off. */
  first(count: number): readonly QueuedEvent[] {
    return this.#waiting.slice(0, count);
  }

  /** Takes the oldest events off. */
  remove(count: number): void {
    for (const event of this.#waiting.splice(0, count)) this.#doneBytes += lineOf(event).length;
    if (this.#waiting.length === 0) {
      truncateSync(this.#path, 0);
      this.#fileBytes = 0;
      this.#doneBytes = 0;
    } else if (this.#doneBytes > REWRITE_BYTES) this.#rewrite();
  }

  #rewrite(): void {
    const lines = Buffer.concat(this.#waiting.map(lineOf));
    writeFileSync(`${this.#path}.new`, lines, { mode: 0o600 });
    renameSync(`${this.#path}.new`, this.#path);
    this.#fileBytes = lines.length;
    this.#doneBytes = 0;
  }
}

// --- internal ---

const REWRITE_BYTES = 8 * 1024 * 1024;

function lineOf(event: QueuedEvent): Buffer {
  return Buffer.from(`${JSON.stringify(event)}\n`);
}

function parseLine(line: string): QueuedEvent[] {
  try {
    const event: unknown = JSON.parse(line);
    return typeof event === "object" && event !== null && "id" in event && typeof event.id === "string"
      ? [event as QueuedEvent]
      : [];
  } catch {
    return [];
  }
}
