import { setTimeout as sleep } from "node:timers/promises";
import { absolute, type Figure, noted } from "../figure.js";
import { timed } from "../statistics.js";
import type { FleetQuestion } from "./fleet-protocol.js";
import type { Load, ScaleBed } from "./scale-bed.js";

const LOOK_EVERY_MS = 250;

/** Kills the proxy, and waits until every agent has a tunnel to the next one: all of them come at once. */
export async function measureProxyReturning(bed: ScaleBed, limitSeconds: number): Promise<readonly Figure[]> {
  const before = bed.cpuSeconds;
  const milliseconds = await timed(async () => {
    await bed.proxy.stop("SIGKILL");
    await bed.cluster.startProxy();
    await allBack(bed, { ask: "withoutTunnel" }, limitSeconds);
  });
  return [
    absolute("all tunnels back after kill -9 of the proxy", milliseconds / 1000, "s", 60, "at most"),
    ...takenSince(bed, before, "proxy"),
  ];
}

/** Kills the auth service, and waits until every agent follows the next one. */
export async function measureAuthReturning(bed: ScaleBed, limitSeconds: number): Promise<readonly Figure[]> {
  const killedAt = Date.now();
  const before = bed.cpuSeconds;
  const milliseconds = await timed(async () => {
    await bed.auth.stop("SIGKILL");
    await bed.cluster.startServer();
    await allBack(bed, { ask: "withoutNews", since: killedAt }, limitSeconds);
  });
  return [
    absolute("all copies live after kill -9 of the auth service", milliseconds / 1000, "s", 60, "at most"),
    ...takenSince(bed, before, "auth"),
  ];
}

// --- internal ---

/** Of the process that is new, all that it took; of the agents, what they took for it. */
function takenSince({ cpuSeconds, agentCount }: ScaleBed, before: Load, what: "auth" | "proxy"): readonly Figure[] {
  const perAgent = (seconds: number): number => (seconds * 1000) / agentCount;
  const server = what === "auth" ? "the auth service" : "the proxy";
  return [
    noted(`processor time of ${server} for that, for each agent`, perAgent(cpuSeconds[what]), "ms"),
    noted(`of the agents after kill -9 of ${server}`, perAgent(cpuSeconds.agents - before.agents), "ms"),
  ];
}

async function allBack(
  { fleets }: ScaleBed,
  question: Extract<FleetQuestion, { ask: "withoutTunnel" | "withoutNews" }>,
  limitSeconds: number,
): Promise<void> {
  const until = Date.now() + limitSeconds * 1000;
  for (;;) {
    const counts = await Promise.all(fleets.map((fleet) => fleet.ask(question)));
    const missing = counts.reduce((sum, count) => sum + count, 0);
    if (missing === 0) return;
    if (Date.now() > until) throw new Error(`${missing} agents did not come back`);
    await sleep(LOOK_EVERY_MS);
  }
}
