import { loadavg, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { performance } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import type { Figure } from "./figure.js";
import { writeReport } from "./report.js";
import { formatGrowth, type Step } from "./scale/growth.js";
import { type Effort, OPTIONAL_PARTS, type Part, partsOf } from "./scale/parts.js";
import { ScaleBed } from "./scale/scale-bed.js";

const FULL: Effort = {
  parts: null,
  agents: [10, 100, 1_000, 10_000],
  logins: 30,
  typingSeconds: 20,
  auditSeconds: 60,
  restSeconds: 45,
};
const QUICK: Effort = { parts: null, agents: [10, 100, 1_000], logins: 15, typingSeconds: 10, auditSeconds: 10, restSeconds: 25 };
const DEFAULT_MINUTES = 25;
const USAGE = `usage: npm run bench:scale -- [--quick] [--agents=10,100] [--parts=list] [--minutes=25] [--out=file]
                              [--profiles=folder]

Measures how a cluster of one auth service and one proxy grows with its agents, and prints a table. Takes a quarter of an
hour; what was measured is printed also when something fails.

  --quick            up to 1,000 agents, and shorter
  --agents=list      numbers of agents, each more than the one before (default: 10,100,1000,10000)
  --parts=list       what is measured besides connecting (default: ${OPTIONAL_PARTS.join(",")})
  --minutes=number   after so many nothing more is begun (default: ${DEFAULT_MINUTES})
  --out=file         where the figures go as JSON (default: bench-scale.json in the folder for temporary files)
  --profiles=folder  has auth service, proxy and agents write CPU profiles there, for each number of agents

10,000 agents take 20,000 open files in the processes together, of which 10,000 are in one: "ulimit -Hn" has to allow
them. They take 5 GiB of memory.
`;

interface Order extends Effort {
  readonly minutes: number;
  readonly out: string;
  readonly profiles: string | null;
}

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
  let isComplete = false;
  try {
    for (const profiles of [order.profiles, null]) beds.push(await ScaleBed.start(profiles));
    const [many, one] = beds as [ScaleBed, ScaleBed];
    await connectOne(one);
    isComplete = await measureAll(many, one, order, steps);
  } catch (error) {
    complain("the clusters", error);
  } finally {
    await close();
    process.off("SIGINT", stop).off("SIGTERM", stop);
  }
  process.stdout.write(`${formatGrowth(steps)}\n\nwritten to ${order.out}\n`);
  return isComplete ? 0 : 1;
}

async function connectOne(bed: ScaleBed): Promise<void> {
  await bed.join(1);
  await bed.restart(1);
  await Promise.all(bed.fleets.map((fleet) => fleet.ask({ ask: "connect" })));
}

/** @returns Whether everything was measured. What was, is in `steps` and in the file, whatever happens to the rest. */
async function measureAll(many: ScaleBed, one: ScaleBed, order: Order, steps: Step[]): Promise<boolean> {
  const began = performance.now();
  const minutes = (): number => (performance.now() - began) / 60_000;
  let isComplete = true;
  for (const agents of order.agents) {
    const figures: Figure[] = [];
    steps.push({ agents, figures });
    for (const part of partsOf(many, one, agents, order)) {
      if (minutes() > order.minutes) throw new Error(`${order.minutes} minutes have passed`);
      process.stderr.write(`${minutes().toFixed(1)} min, ${agents} agents: ${part.what} (load ${loadavg()[0]?.toFixed(1)})\n`);
      try {
        figures.push(...(await inTime(part)));
      } catch (error) {
        complain(`${agents} agents: ${part.what}`, error);
        process.stderr.write(many.lastWords);
        isComplete = false;
        if (part.name === null) return false;
      }
      writeReport(order.out, steps.flatMap(named));
    }
  }
  return isComplete;
}

async function inTime({ what, limitSeconds, measure }: Part): Promise<readonly Figure[]> {
  const over = new AbortController();
  const limit = sleep(limitSeconds * 1000, undefined, { signal: over.signal }).then(() => {
    throw new Error(`${what} took more than ${limitSeconds} s`);
  });
  try {
    return await Promise.race([measure(), limit]);
  } finally {
    over.abort();
    limit.catch(() => "over");
  }
}

function named({ agents, figures }: Step): readonly Figure[] {
  return figures.map((figure) => ({ ...figure, what: `${agents} agents: ${figure.what}` }));
}

function complain(what: string, error: unknown): void {
  const reason = error instanceof Error ? (error.stack ?? error.message) : String(error);
  process.stderr.write(`could not be measured: ${what}: ${reason}\n`);
}

function readOrder(args: readonly string[]): Order | string {
  try {
    const text = { type: "string" } as const;
    const { values } = parseArgs({
      args: [...args],
      options: {
        quick: { type: "boolean" },
        help: { type: "boolean", short: "h" },
        ...{ agents: text, parts: text, minutes: text, out: text, profiles: text },
      },
    });
    if (values.help === true) return USAGE;
    const effort = values.quick === true ? QUICK : FULL;
    const agents = values.agents?.split(",").map(Number) ?? effort.agents;
    const isGrowing = agents.every((count, index) => Number.isInteger(count) && count > (agents[index - 1] ?? 0));
    if (!isGrowing) return `--agents=${values.agents} is not a list of growing numbers\n`;
    const parts = values.parts?.split(",").filter((name) => name !== "") ?? null;
    const strange = parts?.find((name) => !OPTIONAL_PARTS.some((known) => known === name));
    if (strange !== undefined) return `--parts has ${strange}; there are ${OPTIONAL_PARTS.join(", ")}\n`;
    const minutes = Number(values.minutes ?? DEFAULT_MINUTES);
    if (!(minutes > 0)) return `--minutes=${values.minutes} is not a number of minutes\n`;
    const out = values.out ?? join(tmpdir(), "bench-scale.json");
    return { ...effort, agents, parts, minutes, out, profiles: values.profiles === undefined ? null : resolve(values.profiles) };
  } catch (error) {
    return `${(error as Error).message}\n`;
  }
}
