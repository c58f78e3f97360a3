import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { BenchBed } from "./bench-bed.js";
import type { Figure, Row } from "./figure.js";
import { formatTable, writeReport } from "./report.js";
import { agentless } from "./rows/agentless.js";
import { certificates } from "./rows/certificates.js";
import { echo } from "./rows/echo.js";
import { hsm } from "./rows/hsm.js";
import { identity } from "./rows/identity.js";
import { locks } from "./rows/locks.js";
import { logins } from "./rows/logins.js";
import { memory } from "./rows/memory.js";
import { nodes } from "./rows/nodes.js";
import { postgresql } from "./rows/postgresql.js";
import { reload } from "./rows/reload.js";
import { startUp } from "./rows/start-up.js";
import { svids } from "./rows/svids.js";
import { throughput } from "./rows/throughput.js";

const ROWS: readonly Row[] = [
  logins,
  throughput,
  agentless,
  echo,
  certificates,
  startUp,
  memory,
  nodes,
  locks,
  reload,
  identity,
  svids,
  hsm,
  postgresql,
];
const FULL = { rounds: 7, transferBytes: 2 ** 30 };
const QUICK = { rounds: 5, transferBytes: 2 ** 28 };
const USAGE = `usage: npm run bench -- [--quick] [--out=file] [row…]

Measures speed and memory against the goals, beside OpenSSH where there is a peer, and prints a table.

rows:
${ROWS.map(({ name, summary }) => `  ${name.padEnd(14)}${summary}`).join("\n")}

  --quick        less data and fewer rounds
  --out=file     where the figures go as JSON (default: bench.json in the folder for temporary files)
`;

process.exitCode = await main(process.argv.slice(2));

// --- internal ---

/** @returns The exit code: 0 also when a goal was missed, 1 when a row could not be measured, 2 for a wrong command line. */
async function main(args: readonly string[]): Promise<number> {
  const order = readOrder(args);
  if (typeof order === "string") {
    process.stderr.write(order);
    return order === USAGE ? 0 : 2;
  }
  const bed = new BenchBed();
  const stop = (): void => void bed.close().finally(() => process.exit(130));
  process.once("SIGINT", stop).once("SIGTERM", stop);
  const figures: Figure[] = [];
  let failures = 0;
  try {
    for (const row of order.rows) {
      process.stderr.write(`measuring ${row.name} …\n`);
      try {
        figures.push(...(await row.measure(bed, order.effort)));
      } catch (error) {
        failures += 1;
        process.stderr.write(`${row.name} could not be measured: ${error instanceof Error ? error.stack : String(error)}\n`);
      }
    }
  } finally {
    await bed.close();
  }
  writeReport(order.out, figures);
  process.stdout.write(`${formatTable(figures)}\n\nwritten to ${order.out}\n`);
  process.off("SIGINT", stop).off("SIGTERM", stop);
  return failures === 0 ? 0 : 1;
}

function readOrder(args: readonly string[]) {
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: { quick: { type: "boolean" }, out: { type: "string" }, help: { type: "boolean", short: "h" } },
    });
    if (values.help === true) return USAGE;
    const unknown = positionals.find((name) => !ROWS.some((row) => row.name === name));
    if (unknown !== undefined) return `there is no row "${unknown}"; use ${ROWS.map(({ name }) => name).join(", ")}\n`;
    return {
      rows: ROWS.filter(({ name }) => positionals.length === 0 || positionals.includes(name)),
      effort: values.quick === true ? QUICK : FULL,
      out: values.out ?? join(tmpdir(), "bench.json"),
    };
  } catch (error) {
    return `${(error as Error).message}\n`;
  }
}
