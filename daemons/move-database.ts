import { MezError } from "../core/errors/error.js";
import { type AssembledPlugin, assemble } from "../core/host/assembly.js";
import { claimDataDirectory } from "../core/host/data-directory.js";
import type { HostSettings } from "../core/host/host-settings.js";
import { makeLogger } from "../core/host/logger.js";
import { readDecisions } from "../core/host/plugin-decisions.js";
import type { CommandContext } from "../core/plugin/commands.js";
import type { Factory, Resolve, ServiceToken } from "../core/plugin/contract.js";
import { LOGGER, type Logger } from "../core/plugin/logger.js";
import { PROCESS } from "../core/plugin/process.js";
import { STORAGE_DRIVER, type StorageDriver } from "../core/ports/storage-driver.js";
import { openDatabase } from "../core/storage/database.js";
import { type MoveEnd, moveDatabase } from "../core/storage/database-move.js";
import { systemClock } from "../core/time/clock.js";
import { SettingsReader } from "./settings.js";

/**
 * `mezd database move`: copies the database of the configuration into that of another one.
 * @throws {MezError} `CONFIG_INVALID`, `DATA_DIRECTORY_IN_USE`, and as `openDatabase` and `moveDatabase`
 */
export async function moveTo(context: CommandContext, file: string): Promise<void> {
  const [from, to] = await Promise.all([
    settingsOf(context),
    settingsOf({ ...context, globals: { ...context.globals, config: file } }),
  ]);
  if (from.config.clusterName !== to.config.clusterName) {
    throw new MezError(
      "CONFIG_INVALID",
      `cluster_name is "${from.config.clusterName}" in one file and "${to.config.clusterName}" in the other; a cluster keeps its name`,
    );
  }
  const folders = [...new Set([from.config.dataDirectory, to.config.dataDirectory])];
  const logger = (await makeLogger(from.config))("core");
  const closing: (() => Promise<void>)[] = [];
  try {
    for (const folder of folders) closing.push(await claimDataDirectory(folder));
    const open = async (settings: HostSettings): Promise<MoveEnd> => {
      const end = await openEnd(settings, logger);
      closing.push(() => end.open.close());
      return end;
    };
    const source = await open(from);
    const target = await open(to);
    context.stdout.write(`from ${source.place}\nto   ${target.place}\n`);
    const onTable = (name: string, rows: number): void => {
      if (rows > 0) context.stdout.write(`${String(rows).padStart(9)}  ${name}\n`);
    };
    const rows = await moveDatabase({ source, target, onTable });
    context.stdout.write(`${rows} rows are copied, and the same in both. Start the auth servers with ${file}.\n`);
  } finally {
    for (const close of closing.reverse()) await close();
  }
}

// --- internal ---

const ROLES = new Set(["auth"] as const);

function settingsOf(context: CommandContext): Promise<HostSettings> {
  return new SettingsReader(context, { roles: ["auth"] }).read();
}

/** Opens a database with the tables of every plugin that is on; starts none of them. */
async function openEnd({ catalog, config }: HostSettings, logger: Logger): Promise<MoveEnd> {
  const { overrides } = readDecisions(config.dataDirectory);
  const { plugins } = await assemble(catalog, config, overrides, ROLES);
  const driver = driverOf(plugins, config, logger);
  const open = await openDatabase({
    driver,
    plugins: plugins.map(({ entry, declarations }) => ({
      id: entry.manifest.id,
      entities: declarations.entities,
      migrations: declarations.migrations,
    })),
    sinks: () => [],
    clock: systemClock,
    clusterName: config.clusterName,
    logger,
    onCommitted() {},
  });
  return { open, place: driver.place ?? "the database" };
}

function driverOf(plugins: readonly AssembledPlugin[], config: HostSettings["config"], logger: Logger): StorageDriver {
  const [filled] = plugins.flatMap(({ declarations }) =>
    declarations.implementations.filter(({ port }) => port.id === STORAGE_DRIVER.id),
  );
  if (filled === undefined) throw new MezError("PLUGIN_GRAPH_INVALID", "no enabled plugin opens a database");
  const { clusterName, dataDirectory, auth } = config;
  const known = new Map<string, unknown>([
    [PROCESS.id, { clusterName, version: "", roles: ROLES, dataDirectory, authAddresses: auth.addresses, joinToken: null }],
    [LOGGER.id, logger],
  ]);
  const resolve = (token: ServiceToken<unknown>): unknown => known.get(token.id);
  return (filled.factory as Factory<StorageDriver>)(resolve as Resolve);
}
