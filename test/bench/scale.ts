import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { Figure } from "./figure.js";
import { writeReport } from "./report.js";
import { measureAuditLoad } from "./scale/audit-load.js";
import { measureConnecting } from "./scale/connecting.js";
import { formatGrowth, type Step } from "./scale/growth.js";
import { measureOpening } from "./scale/opening.js";
import { measureReaching } from "./scale/reaching.js";
import { ScaleBed } from "./scale/scale-bed.js";
import { measureTerminals } from "./scale/terminals.js";

const FULL = { agents: [10, 100, 1_000, 10_000], logins: 30, typingSeconds: 20, auditSeconds: 60 };
const QUICK = { agents: [10, 100, 1_000], logins: 15, typingSeconds: 10, auditSeconds: 10 };
const MAX_TERMINALS = 1_000;
const USAGE = `usage: npm run bench:scale -- [--quick] [--agents=10,100] [--out=file]

Measures how a cluster of one auth service and one proxy grows with its agents, and prints a table.

  --quick        up to 1,000 agents, and shorter
  --agents=list  numbers of agents, each more than the one before (default: 10,100,1000,10000)
  --out=file     where the figures go as JSON (default: bench-scale.json in the folder for temporary files)

10,000 agents take 20,000 open files in the processes together, of which 10,000 are in one: "ulimit -Hn" has to allow
them. They take 6 GiB of memory.
`;

process.exitCode = await main(process.argv.slice(2));

// --- internal ---

/** @returns The exit code: 0 also when a goal was missed, 1 when something could not be measured, 2 for a wrong command line. */
async function main(args: readonly string[]): Promise<number> {
  const order = readOrder(args);
  if (typeof order === "string") {
    process.stderr.write(order);
    return order === USAGE ? 0 : 2;
  }
  const beds: ScaleBed[] = [];
  const close = async (): Promise<void> => void (await Promise.all(beds.map((bed) => bed.stop())));
  const stop = (): void => void close().finally(() => process.exit(130));
  process.once("SIGINT", stop).once("SIGTERM", stop);
  const steps: Step[] = [];
  let complete = 0;
  try {
    for (let count = 0; count < 2; count += 1) beds.push(await ScaleBed.start());
    const [many, one] = beds as [ScaleBed, ScaleBed];
    await connectOne(one);
    for (const agents of order.agents) {
      const figures: Figure[] = [];
      steps.push({ agents, figures }); // before: what was measured is shown also when the rest fails
      await measure(figures, many, one, agents, order, agents === order.agents.at(-1));
      complete += 1;
    }
  } catch (error) {
    process.stderr.write(`not everything could be measured: ${error instanceof Error ? error.stack : String(error)}\n`);
    for (const bed of beds) process.stderr.write(bed.lastWords);
  } finally {
    await close();
    process.off("SIGINT", stop).off("SIGTERM", stop);
  }
  const name = ({ agents, figures }: Step): readonly Figure[] =>
    figures.map((figure) => ({ ...figure, what: `${agents} agents: ${figure.what}` }));
  writeReport(order.out, steps.flatMap(name));
  process.stdout.write(`${formatGrowth(steps)}\n\nwritten to ${order.out}\n`);
  return complete === order.agents.length ? 0 : 1;
}

async function connectOne(bed: ScaleBed): Promise<void> {
  await bed.join(1);
  await bed.restart(1);
  await Promise.all(bed.fleets.map((fleet) => fleet.ask({ ask: "connect" })));
}

async function measure(
  figures: Figure[],
  many: ScaleBed,
  one: ScaleBed,
  agents: number,
  { logins, typingSeconds, auditSeconds }: typeof FULL,
  isLast: boolean,
): Promise<void> {
  const tell = (what: string): void =>
    void process.stderr.write(`${agents} agents: ${what} … (load ${loadavg()[0]?.toFixed(1)})\n`);
  tell("joining");
  await many.join(agents);
  await many.restart(agents);
  tell("connecting, and a minute of heartbeats");
  figures.push(...(await measureConnecting(many)));
  tell("changes");
  figures.push(...(await measureReaching(many)));
  tell("logins");
  figures.push(await measureOpening(many, one, agents, logins));
  tell("terminals");
  figures.push(...(await measureTerminals(many, agents, Math.min(agents, MAX_TERMINALS), typingSeconds)));
  if (!isLast) return;
  tell("audit events");
  figures.push(...(await measureAuditLoad(many, agents, auditSeconds)));
}

function readOrder(args: readonly string[]) {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        quick: { type: "boolean" },
        agents: { type: "string" },
        out: { type: "string" },
        help: { type: "boolean", short: "h" },
      },
    });
    if (values.help === true) return USAGE;
    const effort = values.quick === true ? QUICK : FULL;
    const agents = values.agents?.split(",").map(Number) ?? effort.agents;
    const isGrowing = agents.every((count, index) => Number.isInteger(count) && count > (agents[index - 1] ?? 0));
    if (!isGrowing) return `--agents=${values.agents} is not a list of growing numbers\n`;
    return { ...effort, agents, out: values.out ?? join(tmpdir(), "bench-scale.json") };
  } catch (error) {
    return `${(error as Error).message}\n`;
  }
}
