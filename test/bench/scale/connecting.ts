import { setTimeout as sleep } from "node:timers/promises";
import { absolute, type Figure, noted } from "../figure.js";
import { timed } from "../statistics.js";
import type { Attempts } from "./fleet-protocol.js";
import type { ScaleBed } from "./scale-bed.js";

const SETTLE_MS = 5_000;

/** Connects every agent at once, and watches them for a while. */
export async function measureConnecting(bed: ScaleBed, agents: number, restSeconds: number): Promise<readonly Figure[]> {
  const { fleets } = bed;
  let milliseconds = 0;
  const connecting = await bed.cpuSecondsOf(async () => {
    milliseconds = await timed(() => Promise.all(fleets.map((fleet) => fleet.ask({ ask: "connect" }))));
    await sleep(SETTLE_MS);
  });
  const attempts = await Promise.all(fleets.map((fleet) => fleet.ask({ ask: "attempts" })));
  const before = bed.residentMib;
  await Promise.all(fleets.map((fleet) => fleet.ask({ ask: "count" })));
  const resting = await bed.cpuSecondsOf(() => sleep(restSeconds * 1000));
  const presences = await Promise.all(fleets.map((fleet) => fleet.ask({ ask: "presence" })));
  const after = bed.residentMib;
  const sum = (key: "missed" | "tunnelsLost" | "silent"): number => presences.reduce((total, each) => total + each[key], 0);
  const perAgentCount = (key: keyof Attempts): number => attempts.reduce((total, each) => total + each[key], 0) / agents;
  const perAgent = (seconds: number): number => (seconds * 1000) / agents;
  return [
    absolute("connect all", milliseconds / 1000, "s", 60, "at most"),
    noted("connections to the auth service that it took, for each agent", perAgentCount("connections"), "ratio"),
    noted("calls that were not answered meanwhile", perAgentCount("failures") * agents, "count"),
    absolute("RSS of the proxy", Math.max(before.proxy, after.proxy), "MiB", 1.2 * 1024, "at most"),
    noted("RSS of the auth service", Math.max(before.auth, after.auth), "MiB"),
    absolute("heartbeats missed at rest", sum("missed"), "count", 0, "at most"),
    absolute("tunnels lost at rest", sum("tunnelsLost"), "count", 0, "at most"),
    absolute("watch streams silent after it", sum("silent"), "count", 0, "at most"),
    noted("processor time to connect one agent, auth service", perAgent(connecting.auth), "ms"),
    noted("the same, proxy", perAgent(connecting.proxy), "ms"),
    noted("the same, in the agents' own processes", perAgent(connecting.agents), "ms"),
    noted("processor time for one agent in a minute, auth service", perAgent(resting.auth) * (60 / restSeconds), "ms"),
    noted("for one agent in a minute, proxy", perAgent(resting.proxy) * (60 / restSeconds), "ms"),
    noted("for one agent in a minute, its own process", perAgent(resting.agents) * (60 / restSeconds), "ms"),
    noted("RSS of the agents' own processes, for each of them", (after.agents * 1024) / agents, "KiB"),
  ];
}
