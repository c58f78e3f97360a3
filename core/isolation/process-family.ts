import { randomUUID } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";

/**
 * A process, all that it started, and what that started, for as long as it runs. A program that detaches itself is a child of init
 * when its parent has ended, and nobody can tell where it came from; but the environment that it was started with is its own for
 * ever. So the first process gets a mark there, which all inherit that do not clear it.
 */
export class ProcessFamily {
  readonly #mark: string;
  #marked: readonly number[] = [];
  #lookedAt = Number.NEGATIVE_INFINITY;

  /** @param mayStart Whether it can start others at all; a family of one is not looked for. */
  constructor(private readonly mayStart: boolean) {
    this.#mark = randomUUID();
  }

  /** What the first process finds in its environment. */
  get environment(): Readonly<Record<string, string>> {
    return this.mayStart ? { [VARIABLE]: this.#mark } : {};
  }

  /** Resident memory in bytes; what several of them share counts for each. `null` where that cannot be known. */
  residentBytes(pid: number): number | null {
    const own = residentBytesOf(pid);
    if (own === null) return null;
    if (this.mayStart && performance.now() - this.#lookedAt > LOOK_EVERY_MS) this.#marked = this.#look();
    const others = new Set([...descendantsOf(pid), ...this.#marked.filter((each) => this.#isMarked(each))]);
    others.delete(pid);
    return [...others].reduce((sum, each) => sum + (residentBytesOf(each) ?? 0), own);
  }

  /** Ends all of them: the group that the first leads, its descendants, and whoever bears the mark, until none is left. */
  kill(pid: number): void {
    for (let round = 0; round < MAX_ROUNDS; round += 1) {
      const others = [...descendantsOf(pid), ...(this.mayStart ? this.#look() : [])];
      for (const each of [...(round === 0 ? [-pid] : []), ...others]) end(each);
      if (others.length === 0) return;
    }
  }

  /** All processes that bear the mark and can be seen. */
  #look(): readonly number[] {
    this.#lookedAt = performance.now();
    return numbersIn("/proc").filter((pid) => this.#isMarked(pid));
  }

  #isMarked(pid: number): boolean {
    try {
      return readFileSync(`/proc/${pid}/environ`, "latin1").includes(`${VARIABLE}=${this.#mark}`);
    } catch {
      return false; // it has ended, or is somebody else's
    }
  }
}

// --- internal ---

const VARIABLE = "MEZITE_PLUGIN_PROCESS";
const MAX_DESCENDANTS = 1000;
/** One that is killed may have started another meanwhile. */
const MAX_ROUNDS = 10;
/** Looking through all processes of a machine takes milliseconds. */
const LOOK_EVERY_MS = 5_000;
const PAGE_BYTES = 4096;

function end(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It has just ended.
  }
}

function residentBytesOf(pid: number): number | null {
  try {
    return Number(readFileSync(`/proc/${pid}/statm`, "utf8").split(" ")[1]) * PAGE_BYTES;
  } catch {
    return null;
  }
}

/** Its children, theirs, and so on. One whose parent has ended is nobody's child any more. */
function descendantsOf(pid: number): readonly number[] {
  const found: number[] = [];
  for (let next: readonly number[] = [pid]; next.length > 0 && found.length < MAX_DESCENDANTS; ) {
    next = next.flatMap(childrenOf);
    found.push(...next);
  }
  return found;
}

function childrenOf(pid: number): readonly number[] {
  try {
    return numbersIn(`/proc/${pid}/task`).flatMap((thread) => {
      const text = readFileSync(`/proc/${pid}/task/${thread}/children`, "utf8").trim();
      return text === "" ? [] : text.split(" ").map(Number);
    });
  } catch {
    return [];
  }
}

/** `[]` where there is no such folder. */
function numbersIn(folder: string): readonly number[] {
  try {
    return readdirSync(folder).flatMap((name) => (/^[0-9]+$/.test(name) ? [Number(name)] : []));
  } catch {
    return [];
  }
}
