import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { MezError } from "../errors/error.js";
import type { StoredPackage } from "../packages/package-store.js";
import type { Lifecycle, Plugin, ProcessRole, Resolve } from "../plugin/contract.js";
import { LOGGER } from "../plugin/logger.js";
import { activeIn, type Manifest } from "../plugin/manifest.js";
import type { PluginHealth } from "../plugin/plugin-host.js";
import { PROCESS } from "../plugin/process.js";
import { Secret } from "../plugin/secret.js";
import { ISOLATED_PORTS } from "./isolated-ports.js";
import { IsolatedProcess } from "./isolated-process.js";
import { Supervisor } from "./supervisor.js";
import type { Introduction } from "./wire.js";

export interface IsolatedPackage {
  readonly stored: StoredPackage;
  /** Folder of the store. */
  readonly store: string;
  readonly manifest: Manifest;
  readonly memoryMib: number;
}

/** Plugins of this process that run in processes of their own. */
export class IsolatedPlugins {
  /** The process of each plugin that started last. */
  readonly #running = new Map<string, Supervisor>();

  /**
   * A plugin that stands in for the one in a package: registers what the manifest says, and starts the process when it is
   * started itself. None of the package's code runs in this process.
   * @throws {MezError} `PLUGIN_MANIFEST_INVALID` for a plugin that does more than fill ports which can be isolated
   */
  standIn(isolated: IsolatedPackage): Plugin<never> {
    const { manifest } = isolated;
    refuseMoreThanPorts(manifest);
    return {
      register: (host, config) => {
        let supervisor: Supervisor | null = null;
        const supervised = (resolve: Resolve): Supervisor => (supervisor ??= supervisorOf(isolated, host.roles, config, resolve));
        for (const { port, name } of activeIn(manifest.implements, host.roles)) {
          const rules = ISOLATED_PORTS.get(port);
          if (rules !== undefined) host.implement(rules.port, name, (resolve) => supervised(resolve).implementation(rules, name));
        }
        host.run((resolve) => this.#lifecycle(manifest.id, supervised(resolve)));
      },
    };
  }

  /** How the process of a plugin fares, `null` when it has none. */
  healthOf(id: string): PluginHealth | null {
    return this.#running.get(id)?.health() ?? null;
  }

  /**
   * Has a plugin register in a process of its own, which ends then.
   * @throws {MezError} `PLUGIN_MANIFEST_MISMATCH`, and what `register` throws
   */
  async verify(isolated: IsolatedPackage, roles: ReadonlySet<ProcessRole>, config: unknown): Promise<void> {
    const introduction = introductionOf(isolated, roles, config, { clusterName: "", version: "", dataDirectory: "" });
    const child = new IsolatedProcess({
      ...optionsOf(isolated, introduction),
      dataDirectory: null,
      logger: { debug() {}, info() {}, warn() {}, error() {} },
      onEnded() {},
    });
    try {
      compare(isolated.manifest, roles, (await child.introduce()).implementations);
    } finally {
      child.kill("the check is over");
      await child.ended();
    }
  }

  #lifecycle(id: string, supervisor: Supervisor): Lifecycle {
    return {
      start: async () => {
        await supervisor.start();
        this.#running.set(id, supervisor);
      },
      drain: () => supervisor.drain(),
      dispose: async () => {
        if (this.#running.get(id) === supervisor) this.#running.delete(id);
        await supervisor.dispose();
      },
    };
  }
}

// --- internal ---

function supervisorOf(isolated: IsolatedPackage, roles: ReadonlySet<ProcessRole>, config: unknown, resolve: Resolve): Supervisor {
  const { clusterName, version, dataDirectory } = resolve(PROCESS);
  const logger = resolve(LOGGER);
  const { id } = isolated.manifest;
  const own = join(dataDirectory, "plugin-data", id);
  const introduction = introductionOf(isolated, roles, config, { clusterName, version, dataDirectory: own });
  return new Supervisor({
    id,
    logger,
    launch: async (onEnded) => {
      await mkdir(own, { recursive: true, mode: 0o700 });
      const child = new IsolatedProcess({ ...optionsOf(isolated, introduction), logger, onEnded });
      try {
        compare(isolated.manifest, roles, (await child.introduce()).implementations);
        return { child, started: await child.start() };
      } catch (error) {
        child.kill("it did not start");
        throw error;
      }
    },
  });
}

function introductionOf(
  { stored, store, manifest }: IsolatedPackage,
  roles: ReadonlySet<ProcessRole>,
  config: unknown,
  facts: Pick<Introduction, "clusterName" | "version" | "dataDirectory">,
): Introduction {
  return {
    ...facts,
    id: manifest.id,
    entry: join(stored.folder, manifest.entries.service as string),
    folder: stored.folder,
    store,
    roles: [...roles],
    config: exposed(config),
    secrets: manifest.secrets ?? [],
  };
}

function optionsOf({ stored, manifest, memoryMib }: IsolatedPackage, introduction: Introduction) {
  const { dataDirectory } = introduction;
  return { folder: stored.folder, reach: manifest.reach ?? [], memoryMib, dataDirectory, introduction };
}

/** Secrets go to the plugin that they belong to over its own connection, and nowhere else. */
function exposed(value: unknown): unknown {
  if (value instanceof Secret) return value.expose();
  if (Array.isArray(value)) return value.map(exposed);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, exposed(item)]));
}

function refuseMoreThanPorts({ id, provides, requires, contributes, implements: filled, reload }: Manifest): void {
  const more = [
    ...(provides ?? []).map(({ service }) => `provides "${service}"`),
    ...(requires ?? []).map(({ service }) => `requires "${service}"`),
    ...(filled ?? []).flatMap(({ port }) => (ISOLATED_PORTS.has(port) ? [] : [`fills the port "${port}"`])),
    ...Object.entries(contributes ?? {}).flatMap(([what, list]) => (list.length > 0 ? [`contributes ${what}`] : [])),
    ...(reload === "restart" ? ['has "reload": "restart"'] : []),
  ];
  if (more.length === 0 && (filled ?? []).length > 0) return;
  const ports = [...ISOLATED_PORTS.keys()].join(", ");
  throw new MezError(
    "PLUGIN_MANIFEST_INVALID",
    `plugin "${id}" cannot run in a process of its own: it ${more[0] ?? "fills no port"}; that is for plugins that fill ${ports} and nothing else`,
  );
}

/** What the process says that it registered, against the manifest. */
function compare(manifest: Manifest, roles: ReadonlySet<ProcessRole>, done: readonly { port: string; name: string }[]): void {
  const declared = activeIn(manifest.implements, roles).map(({ port, name }) => `${port}/${name}`);
  const made = done.map(({ port, name }) => `${String(port)}/${String(name)}`.slice(0, 100));
  const missing = declared.find((name) => !made.includes(name));
  const extra = made.find((name) => !declared.includes(name)) ?? made.find((name, index) => made.indexOf(name) !== index);
  if (missing === undefined && extra === undefined) return;
  const why =
    missing === undefined
      ? `register() adds "${extra}", which implements does not name`
      : `implements names "${missing}", which register() does not`;
  throw new MezError("PLUGIN_MANIFEST_MISMATCH", `plugin "${manifest.id}" is not what its manifest says: ${why}`);
}
