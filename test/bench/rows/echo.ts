import { type ChildProcessByStdio, spawn } from "node:child_process";
import type { Readable, Writable } from "node:stream";
import type { Route } from "../bench-bed.js";
import { type Row, ratioOf, withUnit } from "../figure.js";
import { percentile, timed } from "../statistics.js";

const BYTES_PER_ROUND = 400;
/** Servers in life have run for days: ours, which compile what they do often, are measured once they have done so, and theirs after as many. */
const WARM_UP_BYTES = 2_000;
const GOAL = 1;

/** One byte typed, and shown: through an open terminal with nothing but `cat` at its end. */
export const echo: Row = {
  name: "echo",
  summary: "one byte there and back in an open terminal, p50, p95 and p99, by servers that are warm, against ssh -J",
  async measure(bed, { rounds }) {
    const [ours, theirs] = [await EchoSession.open(await bed.ours()), await EchoSession.open(await bed.theirs())];
    try {
      for (let count = 0; count < WARM_UP_BYTES; count += 1) for (const side of [ours, theirs]) await side.echo();
      const times = { ours: [] as number[][], theirs: [] as number[][] };
      for (let round = 0; round < rounds * 2; round += 1) {
        times.ours.push([]);
        times.theirs.push([]);
        // In turns, byte by byte: an unquiet moment of the machine hits both.
        for (let count = 0; count < BYTES_PER_ROUND; count += 1) {
          times.ours.at(-1)?.push(await ours.echo());
          times.theirs.at(-1)?.push(await theirs.echo());
        }
      }
      const sides = (share: number) => ({
        ours: times.ours.map((round) => percentile(round, share)),
        theirs: times.theirs.map((round) => percentile(round, share)),
      });
      const show = (milliseconds: number) => withUnit(milliseconds * 1000, "µs");
      return [
        ratioOf("echo of one byte, p50", sides(0.5), show, GOAL, "at most"),
        ratioOf("echo of one byte, p95", sides(0.95), show, Number.POSITIVE_INFINITY, "at most"),
        ratioOf("echo of one byte, p99", sides(0.99), show, GOAL, "at most"),
      ];
    } finally {
      ours.close();
      theirs.close();
    }
  },
};

// --- internal ---

class EchoSession {
  #got: () => void = () => {};

  private constructor(private readonly client: ChildProcessByStdio<Writable, Readable, null>) {
    client.stdout.on("data", () => this.#got());
  }

  static async open({ config, destination }: Route): Promise<EchoSession> {
    const command = "stty raw -echo; printf ready; exec cat";
    const client = spawn("ssh", ["-tt", "-F", config, destination, command], { stdio: ["pipe", "pipe", "ignore"] });
    const session = new EchoSession(client);
    await new Promise<void>((resolve, reject) => {
      let text = "";
      client.stdout.on("data", function wait(chunk: Buffer) {
        text += chunk.toString();
        if (!text.includes("ready")) return;
        client.stdout.off("data", wait);
        resolve();
      });
      client.once("close", () => reject(new Error(`ssh to ${destination} ended before it was ready: ${text}`)));
    });
    return session;
  }

  /** Milliseconds until the byte is back. */
  echo(): Promise<number> {
    return timed(
      () =>
        new Promise<void>((resolve) => {
          this.#got = resolve;
          this.client.stdin.write("x");
        }),
    );
  }

  close(): void {
    this.client.kill();
  }
}
