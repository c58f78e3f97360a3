import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { Secret } from "../../../core/plugin/secret.js";
import { TUNNEL_ALPN } from "../../../core/tunnel/tunnel-protocol.js";
import { IdentityStore } from "../../../plugins/nodes/identity-store.js";
import type { WatchMessage } from "../../../proto/gen/mezite/core/v1/watch.js";
import { MEZD_NODE_FLAGS } from "../../fixtures/cluster.js";
import { eventually } from "../../fixtures/eventually.js";
import { type TestAuthority, testAuthority } from "../../fixtures/tls.js";
import { AgentRecorder } from "./agent-recorder.js";
import { credentialsOf } from "./fleet-credentials.js";
import { agentFolder, agentName, type FleetOrder } from "./fleet-protocol.js";
import { lightWorld } from "./light-world.js";
import { SimulatedAgent } from "./simulated-agent.js";

const NAME = agentName(0);
const EXPECTED_CALLS = 6;
const STARTING_MS = 180_000;
const MEZD = fileURLToPath(new URL("../../../daemons/mezd.js", import.meta.url));

test("a simulated agent says what a real one says, in the same order", async (t) => {
  const authority = await testAuthority();
  const folder = await joined(t, authority);
  const real = await recorder(t, authority);
  await runReal(t, real, join(folder, NAME));
  const simulated = await recorder(t, authority);
  const agent = await simulate(t, simulated, folder);
  await settled(simulated);
  assert.deepEqual(calls(simulated), calls(real));
  assert.deepEqual(
    calls(real).map(({ method }) => method),
    ["Watch", "RegisterAgent", "AgentHeartbeat", "AgentHeartbeat", "Report", "Report"],
  );
  for (const alpn of ["h2", TUNNEL_ALPN]) assert.deepEqual(connection(simulated, alpn), connection(real, alpn), alpn);
  const reached = new Promise<void>((resolve) => agent.onNextChange("locks", resolve));
  simulated.watchers[0]?.(put("locks@1", "one", { id: "one" }));
  await reached;
});

// --- internal ---

async function joined(t: TestContext, authority: TestAuthority): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), "mezite-simulated-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const credentials = await authority.issue(NAME);
  await new IdentityStore(agentFolder(folder, NAME), "node").save({
    ...{ ...credentials, name: NAME, id: "01890a5d-ac96-774b-bcce-b302099a8057", role: "node" },
    ...{ sshPrivateKey: new Secret("none"), sshCertificate: Buffer.alloc(1), expiresAt: new Date(Date.now() + 3_600_000) },
  });
  chmodSync(agentFolder(folder, NAME), 0o700);
  return folder;
}

async function recorder(t: TestContext, authority: TestAuthority): Promise<AgentRecorder> {
  const bundle = { sshPublicKeys: [], certificatesPem: [authority.certificatePem] };
  const end: WatchMessage = { message: { $case: "snapshotComplete", snapshotComplete: {} } };
  const started = await AgentRecorder.start(await authority.issue("localhost"), [put("ca-keys@1", "host", bundle), end]);
  t.after(() => started.close());
  return started;
}

function put(kind: string, key: string, value: unknown): WatchMessage {
  return { message: { $case: "put", put: { kind, key, value: JSON.stringify(value) } } };
}

/** The process that an operator would start. */
async function runReal(t: TestContext, { port, ...recorded }: AgentRecorder, dataDirectory: string): Promise<void> {
  const where = [`--auth-server=localhost:${port}`, `--proxy=localhost:${port}`, `--data-dir=${dataDirectory}`];
  const flags = [...MEZD_NODE_FLAGS, "--import", import.meta.resolve("reflect-metadata")];
  const child = spawn(process.execPath, [...flags, MEZD, "node", `--name=${NAME}`, "--labels=env=test", ...where], {
    stdio: "ignore",
  });
  const exited = once(child, "exit");
  t.after(() => child.kill("SIGKILL"));
  await settled(recorded);
  child.kill("SIGKILL");
  await exited;
}

async function simulate(t: TestContext, { port }: AgentRecorder, folder: string): Promise<SimulatedAgent> {
  const order: FleetOrder = { authServer: `localhost:${port}`, tunnelServer: `localhost:${port}`, folder, first: 0, agents: 1 };
  const agent = await SimulatedAgent.load(order, await lightWorld(await credentialsOf(folder, NAME)), 0);
  t.after(() => agent.stop());
  await agent.connect();
  return agent;
}

/** Registered, with two heartbeats, of which one was hurried by the copy; sessions told of twice, since the server asked; and a tunnel. */
async function settled(recorded: Pick<AgentRecorder, "calls" | "connections">): Promise<void> {
  await eventually(() => {
    assert.equal(calls(recorded).length, EXPECTED_CALLS);
    assert.equal(recorded.connections.length, 2);
    for (const { frames } of recorded.connections) assert.ok(frames.length >= 3);
    return true;
  }, STARTING_MS);
}

/** What is said over and over is compared twice; sessions are told of beside the rest, so what they say stands at the end. */
function calls({ calls: made }: Pick<AgentRecorder, "calls">) {
  const all = made.map(({ headers, request }) => {
    const { ":path": path, ":authority": _port, "grpc-timeout": timeout, ...others } = headers;
    const [service, method] = String(path).split("/").slice(1);
    return { service, method, isLimited: timeout !== undefined, others, request: withoutProcess(request) };
  });
  const isOfSessions = ({ method }: { readonly method?: string | undefined }): boolean => method === "Report";
  return [...all.filter((call) => !isOfSessions(call)).slice(0, 4), ...all.filter(isOfSessions).slice(0, 2)];
}

function withoutProcess(request: unknown): unknown {
  return typeof request === "object" && request !== null && "processId" in request ? { ...request, processId: "" } : request;
}

/** What the agent shows and how it begins; what follows depends on when it is answered. */
function connection({ connections }: AgentRecorder, alpn: string) {
  const { frames, ...shown } = connections.find((each) => each.alpn === alpn) as (typeof connections)[number];
  return { ...shown, frames: frames.slice(0, 3) };
}
