import { once } from "node:events";
import { connect, createServer } from "node:net";
import type { Duplex } from "node:stream";
import { relay } from "../../core/tunnel/relay.js";
import { TunnelAgent } from "../../core/tunnel/tunnel-agent.js";
import { TunnelDirectory } from "../../core/tunnel/tunnel-directory.js";
import { TunnelListener } from "../../core/tunnel/tunnel-listener.js";
import { silentLogger } from "../fixtures/silent-logger.js";
import { PROXY_NAME, STREAM_INFO } from "../fixtures/tunnel-pair.js";
import { median, percentile } from "./statistics.js";
import { type BenchSetup, fromPem } from "./tunnel-bed.js";

/** One process of the tunnel benchmark: `proxy`, `agent` or `client`; told what to do over IPC. */
const setup: BenchSetup = JSON.parse(process.env.TUNNEL_BENCH ?? "{}");
const BLOCK = Buffer.alloc(65_536);
const tell = (message: unknown) => void process.send?.(message);

process.on("message", async (message: { ask: string; mib: number; port: number }) => {
  if (message.ask === "usage") {
    globalThis.gc?.();
    const { user, system } = process.cpuUsage();
    tell({ seconds: (user + system) / 1e6, rssKib: process.memoryUsage().rss / 1024 });
  } else if (message.ask === "up" || message.ask === "down")
    tell({ mibPerSecond: await transfer(message.ask, message.mib, message.port) });
});

if (process.argv[2] === "proxy") await runProxy();
else if (process.argv[2] === "agent") await runAgents();
else tell({ ready: true });

// --- internal ---

async function runProxy(): Promise<void> {
  const directory = new TunnelDirectory();
  const listener = new TunnelListener({
    credentials: () => fromPem(setup.proxy),
    authorize: () => ({ nodeName: STREAM_INFO.nodeName, role: "node" }),
    onTunnel: (tunnel) => {
      directory.add(tunnel);
      tell({ connected: directory.all().length });
    },
    logger: silentLogger,
  });
  const tunnelPort = await listener.listen(0, "127.0.0.1");
  const front = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    client.pause();
    directory.open(STREAM_INFO).then(
      (stream) => relay(client, stream),
      () => client.destroy(),
    );
  });
  front.listen(0, "127.0.0.1");
  await once(front, "listening");
  const address = front.address();
  process.on("message", async (message: { ask: string; mib: number }) => {
    if (message.ask !== "opens") return;
    const times: number[] = [];
    for (let count = 0; count < message.mib; count += 1) {
      const began = performance.now();
      (await directory.open(STREAM_INFO)).destroy();
      times.push(performance.now() - began);
    }
    tell({ p50: median(times), p99: percentile(times, 0.99) });
  });
  tell({ tunnelPort, frontPort: typeof address === "object" ? address?.port : 0 });
}

async function runAgents(): Promise<void> {
  for (let count = 0; count < setup.agents; count += 1) {
    const agent = new TunnelAgent({
      addresses: [`127.0.0.1:${setup.tunnelPort}`],
      credentials: () => fromPem(setup.agent),
      serverName: PROXY_NAME,
      onStream: serve,
      logger: silentLogger,
    });
    await agent.start();
  }
  tell({ ready: true });
}

/** `u` swallows what follows; `d` and a number of MiB sends that much. */
function serve(stream: Duplex): void {
  stream.once("data", (first: Buffer) => {
    stream.on("data", () => {});
    if (first[0] === 0x75) stream.once("end", () => stream.end());
    else void pour(stream, first.readUInt32BE(1));
  });
}

async function pour(stream: Duplex, mib: number): Promise<void> {
  for (let left = mib * 16; left > 0; left -= 1) if (!stream.write(BLOCK)) await once(stream, "drain");
  stream.end();
}

async function transfer(way: "up" | "down", mib: number, port: number): Promise<number> {
  const began = performance.now();
  const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true, noDelay: true });
  socket.on("data", () => {});
  const ended = once(socket, "end");
  const order = Buffer.alloc(5, way === "up" ? 0x75 : 0x64);
  order.writeUInt32BE(mib, 1);
  socket.write(order);
  if (way === "up") await pour(socket, mib);
  await ended;
  socket.end();
  return (mib * 1000) / (performance.now() - began);
}
