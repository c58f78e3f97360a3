import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type CrashPlace, writePlace } from "../../fixtures/crash-writer.js";
import { RunningPostgresql } from "../../peers/postgresql.js";
import { type Row, ratioOf, withUnit } from "../figure.js";
import type { TransactionOrder } from "../transaction-process.js";

const ROUND_MS = 1500;

/**
 * Transactions a second: a row, an audit record and an event each, flushed to the disk. On SQLite with one process, on PostgreSQL
 * with one and with two, which write in turns and follow each other.
 */
export const postgresql: Row = {
  name: "postgresql",
  summary: "transactions per second on PostgreSQL with 1 and 16 writers, one and two auth servers, beside SQLite",
  async measure(_bed, { rounds }) {
    const folder = mkdtempSync(join(tmpdir(), "mezite-bench-"));
    const server = await RunningPostgresql.start({ flushes: true });
    const all: Writer[] = [];
    const open = async (place: CrashPlace): Promise<Writer> => {
      const writer = await Writer.start(place);
      all.push(writer);
      return writer;
    };
    try {
      const sqlite = [await open(join(folder, "mezite.db"))];
      const [alone, shared] = [server.database(), server.database()];
      const one = [await open(alone)];
      const two = [await open(shared), await open(shared)];
      const figures = [];
      for (const writers of [1, 16]) {
        const rates = { sqlite: [] as number[], one: [] as number[], two: [] as number[] };
        for (let round = 0; round <= rounds; round += 1) {
          const each = {
            sqlite: await rateOf(sqlite, writers),
            one: await rateOf(one, writers),
            two: await rateOf(two, writers),
          };
          if (round > 0) for (const name of ["sqlite", "one", "two"] as const) rates[name].push(each[name]); // the first warms up
        }
        const show = (value: number) => withUnit(value, "/s");
        const what = `transactions, ${writers === 1 ? "1 writer" : `${writers} writers`}`;
        const sides = [
          ratioOf(`${what}: PostgreSQL by SQLite`, { ours: rates.one, theirs: rates.sqlite }, show, GOALS[0], "at least"),
          ratioOf(`${what} on each: two auth servers by one`, { ours: rates.two, theirs: rates.one }, show, GOALS[1], "at least"),
        ];
        figures.push(...sides);
      }
      return figures;
    } finally {
      await Promise.all(all.map((writer) => writer.stop()));
      await server.close();
      rmSync(folder, { recursive: true });
    }
  },
};

// --- internal ---

// A transaction is some round trips to another process. Two servers take turns, and read what the other one has committed.
const GOALS = [0.3, 0.75] as const;

/** An auth server's database, in a process of its own. */
class Writer {
  #answer = Promise.withResolvers<unknown>();

  private constructor(private readonly process: ChildProcess) {
    process.on("message", (message) => this.#answer.resolve(message));
    process.once("exit", () => this.#answer.reject(new Error("a process of the postgresql row has ended")));
    this.#answer.promise.catch(() => "thrown where it is waited for");
  }

  static async start(place: CrashPlace): Promise<Writer> {
    const program = fileURLToPath(new URL("../transaction-process.js", import.meta.url));
    const writer = new Writer(fork(program, [], { env: { ...process.env, TRANSACTION_BENCH: writePlace(place) } }));
    await writer.#answer.promise;
    return writer;
  }

  /** @returns Transactions a second. */
  async rate(order: TransactionOrder): Promise<number> {
    this.#answer = Promise.withResolvers();
    this.process.send(order);
    return Number(await this.#answer.promise);
  }

  async stop(): Promise<void> {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return;
    const gone = once(this.process, "exit");
    this.process.disconnect();
    await gone;
  }
}

/** Of all of them together. */
async function rateOf(all: readonly Writer[], writers: number): Promise<number> {
  const rates = await Promise.all(all.map((writer) => writer.rate({ writers, milliseconds: ROUND_MS })));
  return rates.reduce((sum, each) => sum + each, 0);
}
