import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { Cluster } from "../../fixtures/cluster.js";
import { measureAgentMemory } from "../agent-memory.js";
import type { BenchBed, Route } from "../bench-bed.js";
import { absolute, type Row } from "../figure.js";
import { residentKib } from "../resident-memory.js";
import { median } from "../statistics.js";

const SETTLE_MS = 5_000;
const SESSIONS = 50;
const WARM_UP_SESSIONS = 5;

/** Resident memory, as the operating system counts it. */
export const memory: Row = {
  name: "memory",
  summary: "RSS of the combined server when idle, per idle session, per connected agent",
  async measure(bed, { rounds }) {
    const idle: number[] = [];
    for (let round = 0; round < rounds; round += 1) idle.push((await idleServerKib()) / 1024);
    return [
      absolute("combined server, idle", median(idle), "MiB", 180, "at most"),
      // The shells and the OpenSSH clients are the person's own; what grows is the server's and the node's process.
      absolute(
        `an idle terminal session, proxy and node, of ${SESSIONS}`,
        await sessionKib(bed, await bed.ours()),
        "KiB",
        1024,
        "at most",
      ),
      absolute(
        `an idle terminal session by ProxyJump, of ${SESSIONS}`,
        await sessionKib(bed, await bed.jumping()),
        "KiB",
        1024,
        "at most",
      ),
      absolute("a connected agent, at the proxy", await measureAgentMemory(rounds), "KiB", 100, "at most"),
    ];
  },
};

// --- internal ---

/** Auth service, proxy and node in one process, some seconds after its start. */
async function idleServerKib(): Promise<number> {
  const cluster = await Cluster.start();
  try {
    await cluster.server.stop();
    await cluster.startServer(); // an ordinary start, not the one that makes the CAs and hashes passwords
    await sleep(SETTLE_MS);
    return residentKib(cluster.server.process);
  } finally {
    await cluster.stop();
  }
}

/** After some sessions, so that what a process needs once for the first of them is not counted. */
async function sessionKib(bed: BenchBed, route: Route): Promise<number> {
  const cluster = await bed.cluster();
  const usage = (): number =>
    residentKib(cluster.server.process) + (cluster.node === null ? 0 : residentKib(cluster.node.process));
  await closeSessions(await openSessions(route, WARM_UP_SESSIONS));
  await sleep(SETTLE_MS);
  const before = usage();
  const sessions = await openSessions(route, SESSIONS);
  await sleep(SETTLE_MS);
  const growth = usage() - before;
  await closeSessions(sessions);
  return growth / SESSIONS;
}

async function openSessions({ config, destination }: Route, wanted: number): Promise<readonly ChildProcess[]> {
  const sessions: ChildProcess[] = [];
  for (let count = 0; count < wanted; count += 1) {
    const session = spawn("ssh", ["-tt", "-F", config, destination, "echo ready; exec cat"], {
      stdio: ["pipe", "pipe", "ignore"],
    });
    sessions.push(session);
    await once(session.stdout, "data");
  }
  return sessions;
}

async function closeSessions(sessions: readonly ChildProcess[]): Promise<void> {
  await Promise.all(
    sessions.map((session) => {
      session.kill();
      return once(session, "exit");
    }),
  );
}
