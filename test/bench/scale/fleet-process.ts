import { randomUUID } from "node:crypto";
import { performance } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { uuidV7 } from "../../../core/time/uuid-v7.js";
import type { AuditEvent } from "../../../proto/gen/mezite/audit/v1/audit.js";
import { credentialsOf } from "./fleet-credentials.js";
import type { FleetOrder, FleetQuestion, NumberedAnswer, NumberedQuestion, Presence, Reported } from "./fleet-protocol.js";
import { agentName } from "./fleet-protocol.js";
import { inParallel } from "./in-parallel.js";
import { LightChannel } from "./light/light-channel.js";
import { lightWorld } from "./light-world.js";
import { SimulatedAgent } from "./simulated-agent.js";
import { SimulatedReporter } from "./simulated-reporter.js";

/** Agents that connect at once. */
const CONNECT_AT_ONCE = 128;
const LOAD_AT_ONCE = 8;
const TICK_MS = 100;
/** What happens at an agent in a busy moment. */
const EVENTS_AT_ONCE = 5;
/** How long agents may take to tell what they have when nothing happens any more. */
const PATIENCE_SECONDS = 40;
const SILENT_SECONDS = 15;

const order: FleetOrder = JSON.parse(process.env["SCALE_FLEET"] ?? "{}");
const world = await lightWorld(await credentialsOf(order.folder, agentName(order.first)));
const agents: SimulatedAgent[] = [];
await inParallel(
  Array.from({ length: order.agents }, (_, index) => order.first + index),
  LOAD_AT_ONCE,
  async (index) => {
    agents.push(await SimulatedAgent.load(order, world, index));
  },
);
const lost = new Map<SimulatedAgent, number>();
let reached: Promise<number> = Promise.resolve(0);

process.on("message", ({ number, question }: NumberedQuestion) => {
  const send = (answer: Omit<NumberedAnswer, "number">): void => void process.send?.({ number, ...answer });
  answerTo(question).then(
    (answer) => send({ answer }),
    (error: unknown) => send({ error: error instanceof Error ? (error.stack ?? error.message) : String(error) }),
  );
});
process.on("disconnect", () => process.exit());
process.send?.("ready");

// --- internal ---

async function answerTo(question: FleetQuestion): Promise<unknown> {
  switch (question.ask) {
    case "connect":
      return inParallel(agents, CONNECT_AT_ONCE, (agent) => agent.connect());
    case "count":
      for (const agent of agents) {
        agent.beats.reset();
        lost.set(agent, agent.tunnelsLost);
      }
      return null;
    case "presence":
      return presence();
    case "attempts":
      return LightChannel.totals;
    case "withoutTunnel":
      return agents.filter(({ hasTunnel }) => !hasTunnel).length;
    case "withoutNews":
      return agents.filter(({ silentSeconds }) => silentSeconds * 1000 > Date.now() - question.since).length;
    case "follow":
      reached = Promise.all(
        agents.map((agent) => new Promise<void>((resolve) => agent.onNextChange(question.what, resolve))),
      ).then(() => Date.now());
      return null;
    case "reached":
      return { at: await reached };
    case "report":
      return report(question.eventsPerSecond, question.seconds);
  }
}

function presence(): Presence {
  const sum = (figure: (agent: SimulatedAgent) => number): number => agents.reduce((total, agent) => total + figure(agent), 0);
  return {
    heartbeats: sum(({ beats }) => beats.taken),
    missed: sum(({ beats }) => beats.missed),
    tunnelsLost: sum((agent) => agent.tunnelsLost - (lost.get(agent) ?? 0)),
    silent: agents.filter(({ silentSeconds }) => silentSeconds > SILENT_SECONDS).length,
  };
}

/** Has events happen at a steady rate, a few at one agent after the other, and waits until all are stored. */
async function report(eventsPerSecond: number, seconds: number): Promise<Reported> {
  const began = performance.now();
  const reporters = agents.map((agent) => new SimulatedReporter((path, request) => agent.call(path, request)));
  const due = (): number => Math.min(seconds, (performance.now() - began) / 1000) * eventsPerSecond;
  for (let moments = 0; moments * EVENTS_AT_ONCE < eventsPerSecond * seconds; await sleep(TICK_MS))
    for (; moments * EVENTS_AT_ONCE < due(); moments += 1)
      reporters[moments % reporters.length]?.add(Array.from({ length: EVENTS_AT_ONCE }, event));
  const sum = (figure: (reporter: SimulatedReporter) => number): number =>
    reporters.reduce((total, each) => total + figure(each), 0);
  while (sum(({ waiting }) => waiting) > 0 && performance.now() - began < (seconds + PATIENCE_SECONDS) * 1000)
    await sleep(TICK_MS);
  const tookSeconds = (performance.now() - began) / 1000;
  for (const reporter of reporters) reporter.stop();
  return {
    events: sum(({ stored }) => stored),
    waiting: sum(({ waiting }) => waiting),
    again: sum((each) => each.again),
    seconds: tookSeconds,
  };
}

function event(): AuditEvent {
  return {
    ...{
      id: uuidV7(new Date()),
      eventType: "session.exec",
      eventCode: "",
      timestamp: new Date(),
      clusterName: "",
      userName: "admin",
    },
    ...{ userRoles: ["admin"], impersonator: "", resourceType: "node", resourceName: "", resourceLabels: { env: "test" } },
    ...{ serverId: "", serverHostname: "", clientIp: "192.0.2.7", sessionId: randomUUID(), success: true, errorMessage: "" },
    metadataJson: JSON.stringify({ command: "systemctl status nginx", login: "deploy" }),
  };
}
