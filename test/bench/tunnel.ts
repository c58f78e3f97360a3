import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { testAuthority } from "../fixtures/tls.js";
import { PROXY_NAME, STREAM_INFO } from "../fixtures/tunnel-pair.js";
import { median } from "./statistics.js";
import { type BenchSetup, toPem } from "./tunnel-bed.js";

/**
 * Measures reverse tunnels over three processes on loopback: throughput, CPU seconds per GiB, the time to open a stream,
 * and the proxy's memory per connected agent. Prints one JSON object. Run it with Node and `--import reflect-metadata`.
 */
const ROUNDS = 3;
const MIB = 1024;
const AGENTS = 500;

const authority = await testAuthority();
const base = { proxy: toPem(await authority.issue(PROXY_NAME)), agent: toPem(await authority.issue(STREAM_INFO.nodeName)) };
console.log(JSON.stringify({ throughput: await throughput(), memory: await memory() }, null, 2));

// --- internal ---

type Reply = Record<string, number>;

async function throughput() {
  const proxy = await start("proxy", { ...base, tunnelPort: 0, agents: 0 });
  const connected = once(proxy.child, "message");
  const agent = await start("agent", { ...base, tunnelPort: proxy.ready.tunnelPort ?? 0, agents: 1 });
  await connected;
  const client = await start("client", { ...base, tunnelPort: 0, agents: 0 });
  const parties = [proxy, agent, client].map(({ child }) => child);
  const results: Record<string, unknown> = { openMilliseconds: await ask(proxy.child, "opens", 500) };
  for (const way of ["up", "down"]) {
    const rates: number[] = [];
    const cpu: number[][] = [];
    for (let round = 0; round <= ROUNDS; round += 1) {
      const before = await usage(parties);
      const { mibPerSecond = 0 } = await ask(client.child, way, round === 0 ? 64 : MIB, proxy.ready.frontPort);
      const after = await usage(parties);
      if (round === 0) continue; // warms up
      rates.push(mibPerSecond);
      cpu.push(after.map((seconds, index) => ((seconds - (before[index] ?? 0)) * 1024) / MIB));
    }
    const [proxyCpu, agentCpu, clientCpu] = [0, 1, 2].map((index) => median(cpu.map((round) => round[index] ?? 0)));
    results[way] = { mibPerSecond: median(rates), cpuSecondsPerGib: { proxy: proxyCpu, agent: agentCpu, client: clientCpu } };
  }
  for (const child of parties) child.kill();
  return results;
}

/** The first hundred agents pay for what the process needs once. */
async function memory() {
  const proxy = await start("proxy", { ...base, tunnelPort: 0, agents: 0 });
  let connected = 0;
  proxy.child.on("message", (message: Reply) => {
    connected = Math.max(connected, message.connected ?? 0);
  });
  const connect = async (agents: number): Promise<ChildProcess> => {
    const wanted = connected + agents;
    const { child } = await start("agent", { ...base, tunnelPort: proxy.ready.tunnelPort ?? 0, agents });
    while (connected < wanted) await sleep(50);
    await sleep(500);
    return child;
  };
  const first = await connect(100);
  const { rssKib: before = 0 } = await ask(proxy.child, "usage");
  const rest = await connect(AGENTS);
  const { rssKib: after = 0 } = await ask(proxy.child, "usage");
  for (const child of [proxy.child, first, rest]) child.kill();
  return { agents: AGENTS, kibPerAgent: (after - before) / AGENTS };
}

async function start(role: string, setup: BenchSetup): Promise<{ child: ChildProcess; ready: Reply }> {
  const child = fork(fileURLToPath(new URL("tunnel-process.js", import.meta.url)), [role], {
    env: { ...process.env, TUNNEL_BENCH: JSON.stringify(setup) },
    execArgv: [...process.execArgv, "--expose-gc"],
  });
  const [ready] = await once(child, "message");
  return { child, ready };
}

async function ask(child: ChildProcess, question: string, mib = 0, port = 0): Promise<Reply> {
  const answer = once(child, "message");
  child.send({ ask: question, mib, port });
  return (await answer)[0];
}

async function usage(children: readonly ChildProcess[]): Promise<number[]> {
  const seconds: number[] = [];
  for (const child of children) seconds.push((await ask(child, "usage")).seconds ?? 0);
  return seconds;
}
