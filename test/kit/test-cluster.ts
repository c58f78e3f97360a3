import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { PACKAGE_ROOT, RELEASE } from "../../core/cli/release.js";
import { loadConfig } from "../../core/config/load.js";
import { type CatalogEntry, makeCatalog } from "../../core/host/catalog.js";
import { Host } from "../../core/host/host.js";
import type { AuditEvent } from "../../core/plugin/audit.js";
import type { Port, PortView, Resolve, ServiceToken } from "../../core/plugin/contract.js";
import type { Manifest } from "../../core/plugin/manifest.js";
import type { PluginHost } from "../../core/plugin/plugin-host.js";
import type { RpcClient, RpcConnection, RpcDefinition } from "../../core/plugin/rpc.js";
import { Secret } from "../../core/plugin/secret.js";
import { grpcDialer } from "../../core/rpc/client.js";
import { BUILTIN_PLUGINS } from "../../plugins/builtin.js";
import { FakeClock } from "../fakes/clock.js";
import { readPluginPackage } from "./plugin-package.js";
import { type CommandRun, runCommandLine } from "./run-command-line.js";
import { type TestCaller, testKitPlugin, tokenOf } from "./test-caller.js";

export interface TestClusterOptions {
  /** Folders with a `plugin.json`, e.g. `[new URL("..", import.meta.url)]`, or catalog entries that a test makes up. */
  readonly plugins: readonly (string | URL | CatalogEntry)[];
  /** The config file as an object, e.g. `{ plugins: { "acme-freezes": { config: { … } } } }`. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** Default one that stands still at the real time of the start. */
  readonly clock?: FakeClock;
}

const ADMIN: TestCaller = { user: "admin", roles: ["admin"] };

/**
 * Boots an auth service with the built-in plugins and those under test, in this process: a real host, SQLite in a temporary
 * folder, gRPC with TLS on a port of loopback. Nobody logs in: calls are made in the name of whoever the test says.
 * @throws {MezError} what would keep `mezd` from starting; nothing is left behind.
 */
export async function startTestCluster(options: TestClusterOptions): Promise<TestCluster> {
  const folder = await mkdtemp(join(tmpdir(), "mezite-cluster-"));
  try {
    return new TestCluster(await boot(folder, options));
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
}

/** A cluster of one process; made by `startTestCluster`. */
export class TestCluster {
  readonly clock: FakeClock;
  /** What the database committed, oldest first. */
  readonly audits: readonly AuditEvent[];
  readonly #connections: RpcConnection[] = [];

  constructor(private readonly parts: ClusterParts) {
    this.clock = parts.clock;
    this.audits = parts.audits;
  }

  /** The host's own controls: `list`, `enable`, `disable`, `reload`. */
  get plugins(): PluginHost {
    return this.parts.host.plugins;
  }

  /** A client of a gRPC service. @param caller Default a person with the role `admin`. */
  rpc<Definition extends RpcDefinition>(definition: Definition, caller: TestCaller = ADMIN): RpcClient<Definition> {
    return this.connection(caller).client(definition);
  }

  /** Closed when the cluster stops. */
  connection(caller: TestCaller = ADMIN): RpcConnection {
    const token = new Secret(tokenOf(caller));
    const connection = grpcDialer.dial({ addresses: [this.address], trust: { kind: "none" }, token });
    this.#connections.push(connection);
    return connection;
  }

  /** Runs `mezctl` in this process against the cluster: the built-in commands and those of the plugins. */
  mezctl(args: readonly string[], options: { readonly as?: TestCaller; readonly stdin?: string } = {}): Promise<CommandRun> {
    const connect = async () => this.connection(options.as);
    const { entries, folder: homeDirectory } = this.parts;
    return runCommandLine({ entries, connect, args, stdin: options.stdin ?? "", homeDirectory });
  }

  /** What fills a port that a plugin under test fills. */
  port<T>(port: Port<T>): PortView<T> {
    return this.parts.resolve().port(port);
  }

  /** A service that a plugin under test provides. @throws {MezError} `SERVICE_NOT_REQUIRED` */
  service<T>(token: ServiceToken<T>): T {
    return this.parts.resolve()(token);
  }

  /** Writes the config file anew and reloads, as SIGHUP does. @throws {MezError} when it does not hold; all stays as it was. */
  async configure(config: Readonly<Record<string, unknown>>): Promise<void> {
    await this.parts.configure(config);
    await this.plugins.reload();
  }

  /** Stops everything and deletes the folder. */
  async stop(): Promise<void> {
    for (const connection of this.#connections) connection.close();
    await this.parts.host.stop();
    await rm(this.parts.folder, { recursive: true, force: true });
  }

  /** `host:port` of gRPC. */
  get address(): string {
    return String(this.parts.host.authAddress);
  }
}

// --- internal ---

interface ClusterParts {
  readonly host: Host;
  readonly clock: FakeClock;
  readonly audits: readonly AuditEvent[];
  readonly folder: string;
  readonly entries: readonly CatalogEntry[];
  readonly resolve: () => Resolve;
  readonly configure: (config: Readonly<Record<string, unknown>>) => Promise<void>;
}

async function boot(folder: string, options: TestClusterOptions): Promise<ClusterParts> {
  const clock = options.clock ?? new FakeClock();
  const audits: AuditEvent[] = [];
  let resolve: Resolve | null = null;
  const tested = options.plugins.map((each) =>
    typeof each === "string" || each instanceof URL ? readPluginPackage(each) : each,
  );
  const manifests = tested.map(({ manifest }) => manifest as Manifest);
  const entries = [...BUILTIN_PLUGINS, ...tested, testKitPlugin(manifests, audits, (made) => (resolve = made))];
  const catalog = makeCatalog(entries, RELEASE, pathToFileURL(join(PACKAGE_ROOT, "plugin.schema.json")));
  const file = join(folder, "mezite.yaml");
  const write = async (config: Readonly<Record<string, unknown>>): Promise<void> => {
    const base = { cluster_name: "test", data_dir: folder, auth: { listen_addr: "localhost:0" } };
    const named = manifests.filter(({ section }) => section === undefined).map(({ id }) => [id, {}]);
    const plugins = { ...Object.fromEntries(named), ...(config["plugins"] as object | undefined) };
    await writeFile(file, JSON.stringify({ ...base, ...config, plugins }));
  };
  await write(options.config ?? {});
  const all = [...catalog.values()].map(({ manifest }) => manifest);
  const config = await loadConfig(file, all, {});
  const host = new Host({
    catalog,
    config,
    readSettings: async () => ({ catalog, config: await loadConfig(file, all, {}) }),
    process: {
      clusterName: config.clusterName,
      version: RELEASE,
      roles: new Set(["auth"]),
      dataDirectory: folder,
      authAddresses: config.auth.addresses,
      joinToken: null,
    },
    clock,
    logger: () => ({ debug() {}, info() {}, warn() {}, error() {} }),
  });
  await host.start();
  return { host, clock, audits, folder, entries, resolve: () => resolve as Resolve, configure: write };
}
