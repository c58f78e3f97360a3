import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";
import { isDeepStrictEqual } from "node:util";
import { loadConfig } from "../../core/config/load.js";
import { isMezError } from "../../core/errors/error.js";
import { makeCatalog } from "../../core/host/catalog.js";
import { Host } from "../../core/host/host.js";
import type { ProcessRole } from "../../core/plugin/contract.js";
import { HOST_IDENTITIES } from "../../core/plugin/host-identity.js";
import type { Secret } from "../../core/plugin/secret.js";
import { systemClock } from "../../core/time/clock.js";
import { AGENT_REGISTRATION, NODE_INVENTORY } from "../../plugins/nodes/api.js";
import { TOKENS } from "../../plugins/tokens/api.js";
import { eventually } from "../fixtures/eventually.js";
import { freePorts } from "../fixtures/free-ports.js";
import { silentLogger } from "../fixtures/silent-logger.js";

const PLUGINS = [
  "storage/sqlite",
  "keys/software",
  "ca",
  "audit",
  "roles",
  "users",
  "authentication",
  "tokens",
  "join/token",
  "nodes",
];
const root = projectRoot();
const catalog = makeCatalog(
  PLUGINS.map((folder) => ({
    manifest: JSON.parse(readFileSync(join(root, "plugins", folder, "plugin.json"), "utf8")) as unknown,
    service: () => import(`../../plugins/${folder}/plugin.js`),
  })),
  "0.1.0",
  pathToFileURL(join(root, "plugin.schema.json")),
);
const ADMIN = { name: "admin", roles: ["admin"] };
const folder = mkdtempSync(join(tmpdir(), "mezite-hosts-"));
const running = new Set<Host>();
let auth: Host;
let address: string;

before(async () => {
  auth = await boot("server", ["auth", "proxy", "node"], null, `127.0.0.1:${(await freePorts(1))[0]}`);
  address = auth.authAddress ?? "";
});
after(async () => {
  for (const host of running) await host.stop();
  rmSync(folder, { recursive: true, force: true });
});

test("beside the auth service, a node needs no token and is online at once", async () => {
  await register(auth, "local-01", { env: "dev" });
  await online("local-01", { env: "dev" });
  assert.equal(auth.provided(HOST_IDENTITIES)?.of("proxy").current().role, "proxy");
});

test("a node in a process of its own joins, is seen, and goes offline when it stops", async () => {
  const node = await boot("web-01", ["node"], await token());
  await register(node, "web-01", { env: "prod" });
  await online("web-01", { env: "prod" });
  await stop(node);
  assert.equal(auth.provided(NODE_INVENTORY)?.get("web-01")?.online, false);
});

test("a node starts while the auth service is down, and is seen when it is back", async () => {
  await stop(auth);
  const node = await boot("web-01", ["node"], null);
  await register(node, "web-01", { env: "staging" });
  assert.equal(node.provided(HOST_IDENTITIES)?.of("node").current().name, "web-01");
  auth = await boot("server", ["auth", "proxy", "node"], null, address);
  await online("web-01", { env: "staging" });
  await stop(node);
});

test("a node without credentials and without a token says what to do", async () => {
  const node = await boot("web-02", ["node"], null);
  await assert.rejects(register(node, "web-02", {}), (error) => isMezError(error, "JOIN_TOKEN_REQUIRED"));
  assert.throws(
    () => node.provided(HOST_IDENTITIES)?.of("node"),
    (error) => isMezError(error, "UNAVAILABLE"),
  );
  await stop(node);
});

// --- internal ---

async function boot(
  name: string,
  roles: readonly ProcessRole[],
  joinToken: Secret | null,
  listen = "127.0.0.1:0",
): Promise<Host> {
  const dataDirectory = join(folder, name);
  mkdirSync(dataDirectory, { recursive: true, mode: 0o700 });
  const authAddresses = address === undefined ? [] : [address];
  const manifests = [...catalog.values()].map(({ manifest }) => manifest);
  const laid = [
    { path: ["cluster_name"], value: "test", flag: "cluster name" },
    { path: ["data_dir"], value: dataDirectory, flag: "data directory" },
    { path: ["auth", "listen_addr"], value: listen, flag: "listen address" },
  ];
  const readConfig = () => loadConfig(null, manifests, {}, laid);
  const host = new Host({
    catalog,
    config: await readConfig(),
    readSettings: async () => ({ catalog, config: await readConfig() }),
    process: { clusterName: "test", version: "0.1.0", roles: new Set(roles), dataDirectory, authAddresses, joinToken },
    clock: systemClock,
    logger: () => silentLogger,
  });
  await host.start();
  running.add(host);
  return host;
}

async function stop(host: Host): Promise<void> {
  running.delete(host);
  await host.stop();
}

async function register(host: Host, name: string, labels: Readonly<Record<string, string>>): Promise<void> {
  await host.provided(AGENT_REGISTRATION)?.register({ name, labels });
}

async function token(): Promise<Secret> {
  const tokens = auth.provided(TOKENS);
  assert.ok(tokens);
  return (await tokens.create({ roles: ["node"] }, ADMIN)).secret;
}

async function online(name: string, labels: Readonly<Record<string, string>>): Promise<void> {
  await eventually(() => {
    const node = auth.provided(NODE_INVENTORY)?.get(name);
    return node?.online === true && isDeepStrictEqual(node.labels, labels);
  });
}

function projectRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, "package.json"))) folder = dirname(folder);
  return folder;
}
