import { appendFileSync, existsSync, mkdirSync, readFileSync, renameSync, truncateSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";

export interface JournalOptions<Item> {
  /** Made with mode 0600, in a directory of mode 0700, when it is not there. */
  readonly path: string;
  readonly maxBytes: number;
  /** Reads an item as `JSON.parse` gives it; `null` when it is none. */
  readonly parse: (value: unknown) => Item | null;
}

/** A first-in, first-out queue in a file of JSON lines, so that its items outlive the process. One process uses the file. */
export class JournaledQueue<Item> {
  #waiting: Item[] = [];
  #fileBytes = 0;
  /** Bytes at the beginning of the file whose items have been taken off. */
  #doneBytes = 0;

  constructor(private readonly options: JournalOptions<Item>) {}

  /** Reads what an earlier process left behind. A line that a crash cut short is dropped. */
  open(): void {
    const { path, parse } = this.options;
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    if (!existsSync(path)) writeFileSync(path, "", { mode: 0o600 });
    const items = readFileSync(path, "utf8").split("\n").map(parseLine).map(parse);
    this.#waiting = items.filter((item): item is Item & {} => item !== null);
    this.#rewrite();
  }

  get size(): number {
    return this.#waiting.length;
  }

  /** `false` when the queue is full. Throws when the file cannot be written; then the item is not in the queue. */
  add(item: Item): boolean {
    const { path, maxBytes } = this.options;
    const line = lineOf(item);
    if (this.#fileBytes - this.#doneBytes + line.length > maxBytes) return false;
    try {
      appendFileSync(path, line);
    } catch (error) {
      truncateSync(path, this.#fileBytes); // half a line would spoil the next one as well
      throw error;
    }
    this.#fileBytes += line.length;
    this.#waiting.push(item);
    return true;
  }

  /** The oldest items, without taking them off. */
  first(count: number): readonly Item[] {
    return this.#waiting.slice(0, count);
  }

  /** Takes the oldest items off. */
  remove(count: number): void {
    for (const item of this.#waiting.splice(0, count)) this.#doneBytes += lineOf(item).length;
    if (this.#fileBytes === 0) return;
    if (this.#waiting.length === 0) {
      truncateSync(this.options.path, 0);
      this.#fileBytes = 0;
      this.#doneBytes = 0;
    } else if (this.#doneBytes > REWRITE_BYTES) this.#rewrite();
  }

  #rewrite(): void {
    const { path } = this.options;
    const lines = Buffer.concat(this.#waiting.map(lineOf));
    writeFileSync(`${path}.new`, lines, { mode: 0o600 });
    renameSync(`${path}.new`, path);
    this.#fileBytes = lines.length;
    this.#doneBytes = 0;
  }
}

// --- internal ---

const REWRITE_BYTES = 8 * 1024 * 1024;

function lineOf(item: unknown): Buffer {
  return Buffer.from(`${JSON.stringify(item)}\n`);
}

function parseLine(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return null;
  }
}
