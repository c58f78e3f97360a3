import { setTimeout as sleep } from "node:timers/promises";
import { absolute, type Figure } from "../figure.js";
import { timed } from "../statistics.js";
import type { FleetQuestion } from "./fleet-protocol.js";
import type { ScaleBed } from "./scale-bed.js";

const LOOK_EVERY_MS = 250;
const LIMIT_MS = 120_000;

/** Kills the proxy, then the auth service, and waits until every agent is back: all of them come at once. */
export async function measureReturning(bed: ScaleBed): Promise<readonly Figure[]> {
  const proxy = await timed(async () => {
    await bed.proxy.stop("SIGKILL");
    await bed.cluster.startProxy();
    await allBack(bed, { ask: "withoutTunnel" });
  });
  const killedAt = Date.now();
  const auth = await timed(async () => {
    await bed.auth.stop("SIGKILL");
    await bed.cluster.startServer();
    await allBack(bed, { ask: "withoutNews", since: killedAt });
  });
  return [
    absolute("all tunnels back after kill -9 of the proxy", proxy / 1000, "s", 60, "at most"),
    absolute("all copies live after kill -9 of the auth service", auth / 1000, "s", 60, "at most"),
  ];
}

// --- internal ---

async function allBack(
  { fleets }: ScaleBed,
  question: Extract<FleetQuestion, { ask: "withoutTunnel" | "withoutNews" }>,
): Promise<void> {
  const until = Date.now() + LIMIT_MS;
  for (;;) {
    const counts = await Promise.all(fleets.map((fleet) => fleet.ask(question)));
    const missing = counts.reduce((sum, count) => sum + count, 0);
    if (missing === 0) return;
    if (Date.now() > until) throw new Error(`${missing} agents did not come back`);
    await sleep(LOOK_EVERY_MS);
  }
}
