import { fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { absolute, type Figure, noted } from "../figure.js";
import { percentile } from "../statistics.js";
import { agentName } from "./fleet-protocol.js";
import type { ScaleBed } from "./scale-bed.js";
import type { TerminalOrder } from "./terminal-process.js";

const PROCESSES = 2;

/** Terminals that are open at once, in each of which somebody types a key a second. */
export async function measureTerminals(
  bed: ScaleBed,
  agents: number,
  sessions: number,
  seconds: number,
): Promise<readonly Figure[]> {
  const { cluster } = bed;
  const common = { profile: join(cluster.home, ".mezite"), port: cluster.ports.ssh, login: cluster.login, seconds };
  const nodes = Array.from({ length: sessions }, (_, index) => agentName(index % agents));
  const share = Math.ceil(sessions / PROCESSES);
  const children = Array.from({ length: PROCESSES }, (_, index) =>
    start({ ...common, nodes: nodes.slice(index * share, (index + 1) * share) }),
  );
  try {
    const opening = await bed.cpuSecondsOf(() => Promise.all(children.map(({ answer }) => answer())));
    for (const { child } of children) child.send("type");
    const times = (await Promise.all(children.map(({ answer }) => answer()))).flat();
    return [
      absolute("echo, a terminal for each up to 1,000, p50", percentile(times, 0.5), "ms", 50, "at most"),
      absolute("echo, a terminal for each up to 1,000, p99", percentile(times, 0.99), "ms", 50, "at most"),
      noted("processor time of the proxy to open one of them", (opening.proxy * 1000) / sessions, "ms"),
      absolute("RSS of the proxy with them", bed.residentMib.proxy, "MiB", 1.2 * 1024, "at most"),
    ];
  } finally {
    for (const { child } of children) child.kill("SIGKILL");
  }
}

// --- internal ---

function start(order: TerminalOrder) {
  const child = fork(fileURLToPath(new URL("terminal-process.js", import.meta.url)), [], {
    execArgv: ["--import", import.meta.resolve("reflect-metadata")],
    env: { ...process.env, SCALE_TERMINALS: JSON.stringify(order) },
  });
  const exited = once(child, "exit").then(([code]) => {
    throw new Error(`a process of terminals ended with ${String(code)}`);
  });
  exited.catch(() => undefined);
  const answer = async (): Promise<readonly number[]> => {
    const [message] = await Promise.race([once(child, "message"), exited]);
    return message;
  };
  return { child, answer };
}
