import { once } from "node:events";
import { readFileSync } from "node:fs";
import { performance } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { ProfileStore } from "../../../cli/msh/profile-store.js";
import { connectSsh } from "../../../core/ssh/client.js";
import type { SshClientChannel } from "../../../core/ssh/client-connection.js";
import { parsePrivateKey } from "../../../core/ssh/private-key.js";
import { inParallel } from "./in-parallel.js";

/** What a process of terminals is started with, as JSON in `SCALE_TERMINALS`. */
export interface TerminalOrder {
  /** The person's `~/.mezite`. */
  readonly profile: string;
  /** Of the proxy, on this machine. */
  readonly port: number;
  readonly login: string;
  /** One session to each. */
  readonly nodes: readonly string[];
  readonly seconds: number;
}

const AT_ONCE = 8;
const TERMINAL = { term: "xterm", columns: 80, rows: 24 };
const TIMEOUT_MS = 120_000;

const { SCALE_TERMINALS } = process.env;
if (SCALE_TERMINALS !== undefined) await run(JSON.parse(SCALE_TERMINALS) as TerminalOrder);

// --- internal ---

/** Opens all, says so, waits for the word, types, and answers with the milliseconds of each key. */
async function run(order: TerminalOrder): Promise<void> {
  const open = opener(order);
  const terminals: SshClientChannel[] = [];
  await inParallel(order.nodes, AT_ONCE, async (node) => void terminals.push(await open(node)));
  process.send?.([]);
  await once(process, "message");
  const until = performance.now() + order.seconds * 1000;
  process.send?.((await Promise.all(terminals.map((terminal) => type(terminal, until)))).flat());
}

function opener({ profile, port, login }: TerminalOrder): (node: string) => Promise<SshClientChannel> {
  const profiles = new ProfileStore(profile);
  const current = profiles.current();
  if (current === null) throw new Error(`nobody is logged in with ${profile}`);
  const files = profiles.filesOf(current.cluster);
  const key = parsePrivateKey(readFileSync(files.identity, "utf8"));
  const certificateBlob = Buffer.from(readFileSync(files.certificate, "utf8").split(" ")[1] ?? "", "base64");
  const authorities = readFileSync(files.knownHosts, "utf8")
    .split("\n")
    .filter((line) => line.startsWith("@cert-authority"))
    .map((line) => Buffer.from(line.split(" ")[3] ?? "", "base64"));
  const trust = (name: string) => ({ hostTrust: { authorities, name, now: () => new Date() }, timeoutMs: TIMEOUT_MS });
  const credentials = { key, certificateBlob };
  return async (node) => {
    const to = { host: "localhost", port };
    const proxy = await connectSsh({ ...trust("localhost"), ...credentials, user: current.user, to });
    const way = await proxy.forwardOut(node, 22);
    const inner = await connectSsh({ ...trust(node), ...credentials, user: login, to: way });
    return inner.shell({ terminal: TERMINAL });
  };
}

/** A key a second, at a moment of its own. */
async function type(terminal: SshClientChannel, until: number): Promise<readonly number[]> {
  const times: number[] = [];
  await sleep(Math.random() * 1000);
  while (performance.now() < until) {
    const began = performance.now();
    const shown = once(terminal, "data");
    terminal.write("x");
    await shown;
    const took = performance.now() - began;
    times.push(took);
    await sleep(Math.max(0, 1000 - took));
  }
  return times;
}
