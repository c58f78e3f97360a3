import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { MEZD_NODE_FLAGS } from "../fixtures/cluster.js";
import { testAuthority } from "../fixtures/tls.js";
import { PROXY_NAME, STREAM_INFO } from "../fixtures/tunnel-pair.js";
import { residentKib } from "./resident-memory.js";
import { median } from "./statistics.js";
import { type BenchSetup, toPem } from "./tunnel-bed.js";

const FIRST = 500;
const AGENTS = 1000;

/**
 * What a proxy process grows by for each agent, in KiB: real agents with real tunnels, in another process.
 * @returns The median of `rounds` proxies.
 */
export async function measureAgentMemory(rounds: number): Promise<number> {
  const authority = await testAuthority();
  const pems = { proxy: toPem(await authority.issue(PROXY_NAME)), agent: toPem(await authority.issue(STREAM_INFO.nodeName)) };
  const figures: number[] = [];
  for (let round = 0; round < rounds; round += 1) figures.push(await kibPerAgent(pems));
  return median(figures);
}

// --- internal ---

async function kibPerAgent(pems: Pick<BenchSetup, "proxy" | "agent">): Promise<number> {
  const proxy = await start("proxy", { ...pems, tunnelPort: 0, agents: 0 });
  const children = [proxy.child];
  try {
    let connected = 0;
    proxy.child.on("message", (message: { readonly connected?: number }) => {
      connected = Math.max(connected, message.connected ?? 0);
    });
    const connect = async (agents: number): Promise<number> => {
      const wanted = connected + agents;
      children.push((await start("agent", { ...pems, tunnelPort: proxy.ready["tunnelPort"] ?? 0, agents })).child);
      while (connected < wanted) await sleep(50);
      await sleep(1000);
      return residentKib(proxy.child);
    };
    // The first pay for what the process needs once; until the young generation has its full size, that is a third of each figure.
    const before = await connect(FIRST);
    return ((await connect(AGENTS)) - before) / AGENTS;
  } finally {
    for (const child of children) child.kill();
  }
}

async function start(role: string, setup: BenchSetup): Promise<{ child: ChildProcess; ready: Record<string, number> }> {
  const child = fork(fileURLToPath(new URL("tunnel-process.js", import.meta.url)), [role], {
    execArgv: [...MEZD_NODE_FLAGS, ...process.execArgv],
    env: { ...process.env, TUNNEL_BENCH: JSON.stringify(setup) },
  });
  const [ready] = await once(child, "message");
  return { child, ready };
}
