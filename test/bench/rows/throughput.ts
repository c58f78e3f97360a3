import { rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Route } from "../bench-bed.js";
import { runProgram } from "../client-process.js";
import { type Effort, type Figure, type Row, ratioOf } from "../figure.js";
import { alternate } from "../statistics.js";

const GOAL = 1.5;
const NO_GOAL = Number.NEGATIVE_INFINITY;

/** Bytes through the OpenSSH client, the proxy and the node, to and from programs at both ends. */
export const throughput: Row = {
  name: "throughput",
  summary: "1 GiB up and down with aes128-gcm, against ssh -J",
  async measure(bed, effort) {
    const theirs = await bed.theirs();
    return [
      ...(await measureTransfers("", await bed.ours(), theirs, effort, GOAL)),
      ...(await measureTransfers("by ProxyJump, ", await bed.jumping(), theirs, effort, NO_GOAL, TRANSFERS.slice(0, 1))),
    ];
  },
};

/** Bytes up and down, with and without a recording. @param goal At least this ratio. */
export async function measureTransfers(
  prefix: string,
  ours: Route,
  theirs: Route,
  { rounds, transferBytes }: Effort,
  goal: number,
  transfers: readonly (readonly [what: string, script: string])[] = TRANSFERS,
): Promise<readonly Figure[]> {
  const file = join(tmpdir(), `mezite-bench-${process.pid}`);
  writeFileSync(file, "");
  truncateSync(file, transferBytes); // a hole: reading it costs no disk
  const rate = async (script: string, { config, destination }: Route): Promise<number> => {
    const env = { ...process.env, CONFIG: config, DESTINATION: destination, FILE: file, BYTES: String(transferBytes) };
    return (transferBytes / 2 ** 20 / (await runProgram("/bin/sh", ["-c", script], { env }))) * 1000;
  };
  const figures: Figure[] = [];
  try {
    for (const [what, script] of transfers) {
      const sides = await alternate(
        rounds,
        () => rate(script, ours),
        () => rate(script, theirs),
      );
      figures.push(ratioOf(`${prefix}${what}`, sides, (mebibytes) => `${mebibytes.toFixed(0)} MiB/s`, goal, "at least"));
    }
  } finally {
    rmSync(file);
  }
  return figures;
}

// --- internal ---

/** Content of files is not recorded, output of commands is: both ways down are measured. */
const TRANSFERS = [
  ["up, into cat", 'ssh -F "$CONFIG" "$DESTINATION" "cat > /dev/null" < "$FILE"'],
  ["down, by scp", 'scp -q -O -F "$CONFIG" "$DESTINATION:$FILE" /dev/null'],
  ["down, recorded output of a command", 'ssh -n -F "$CONFIG" "$DESTINATION" "head -c $BYTES /dev/zero" > /dev/null'],
] as const;
