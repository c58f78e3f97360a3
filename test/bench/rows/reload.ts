import { setTimeout as sleep } from "node:timers/promises";
import type { Cluster } from "../../fixtures/cluster.js";
import { Heat } from "../../fixtures/heat.js";
import { absolute, type Figure, type Row } from "../figure.js";
import { residentKib } from "../resident-memory.js";
import { median } from "../statistics.js";

const SESSIONS = 50;
const FULL_ROUNDS = 7;
const FUNCTIONS = 40_000; // about 3.6 MB of source
const SAMPLES = 20;

/** Replaces a package again and again under live sessions and calls, together with the server and in a process of its own. */
export const reload: Row = {
  name: "reload",
  summary: `memory over 500 reloads of a package under ${SESSIONS} sessions and calls, 50 with --quick`,
  async measure(bed, { rounds }) {
    const cluster = await bed.cluster();
    const heat = new Heat(cluster);
    try {
      await heat.openSessions(SESSIONS);
      const reloads = rounds >= FULL_ROUNDS ? 500 : 50;
      return [
        ...(await measureOn(cluster, heat, "together", "none", reloads)),
        ...(await measureOn(cluster, heat, "apart", "process", reloads)),
      ];
    } finally {
      await heat.close();
    }
  },
};

// --- internal ---

async function measureOn(
  cluster: Cluster,
  heat: Heat,
  id: string,
  isolation: "none" | "process",
  reloads: number,
): Promise<readonly Figure[]> {
  heat.add(id, isolation, FUNCTIONS);
  const resident: number[] = [];
  const { calls, failures } = await heat.reload(id, reloads, (done) => {
    resident.push(residentKib(cluster.server.process));
    if (done % (reloads / 5) === 0)
      process.stderr.write(`  ${id}: ${done} reloads, ${Math.round((resident.at(-1) ?? 0) / 1024)} MiB\n`);
  });
  if (failures.length > 0) throw new Error(`${failures.length} of ${calls} calls failed: ${failures[0]}`);
  await sleep(1000);
  const open = await heat.sessionsWork();
  if (open !== SESSIONS) throw new Error(`${SESSIONS - open} sessions ended`);
  cluster.mezctlOk(["plugins", "rm", id]);
  // The first fifth is the heap finding its size.
  const early = median(resident.slice(reloads / 5, reloads / 5 + SAMPLES));
  const late = median(resident.slice(-SAMPLES));
  const what = `growth over the last 4/5 of ${reloads} reloads, ${isolation === "none" ? "CommonJS" : "isolated"}, ${calls} calls`;
  return [absolute(what, (late - early) / 1024, "MiB", 24, "at most", `${Math.round(late / 1024)} MiB in all`)];
}
