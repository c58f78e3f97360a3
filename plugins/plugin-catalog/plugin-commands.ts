import { setTimeout as delay } from "node:timers/promises";
import { MezError, messageOf } from "../../core/errors/error.js";
import { isForMachines } from "../../core/plugin/caller.js";
import type { Column, CommandContext } from "../../core/plugin/commands.js";
import {
  type Plugin,
  PluginCatalogServiceService,
  type PluginChange,
  type PluginHealth,
  type PluginServer,
} from "../../proto/gen/mezite/plugin_catalog/v1/plugin_catalog.js";

/** A plugin may take 30 s to start, and so may those that depend on it. */
export const CHANGE_MS = 120_000;

/** `mezctl plugins ls` */
export async function listPlugins(context: CommandContext): Promise<void> {
  const client = await context.rpc(PluginCatalogServiceService);
  const { plugins, servers } = await client.listPlugins({}, { signal: context.signal });
  await context.output.rows(plugins, LIST_COLUMNS);
  for (const line of [...packageProblems(plugins), ...stragglers(servers)]) context.output.note(line);
}

/**
 * `mezctl plugins inspect`
 * @throws {MezError} `PLUGIN_UNKNOWN`
 */
export async function inspectPlugin(context: CommandContext, id: string): Promise<void> {
  const client = await context.rpc(PluginCatalogServiceService);
  const { plugins } = await client.listPlugins({}, { signal: context.signal });
  const plugin = plugins.find((each) => each.id === id);
  if (plugin === undefined)
    throw new MezError("PLUGIN_UNKNOWN", `no plugin "${id}" is known there; mezctl plugins ls shows them all`);
  await context.output.record(plugin, ALL_COLUMNS);
}

/** `mezctl plugins enable` */
export async function enablePlugin(context: CommandContext, id: string): Promise<void> {
  const client = await context.rpc(PluginCatalogServiceService);
  const { change } = await client.enablePlugin({ id }, { signal: context.signal, timeoutMs: CHANGE_MS });
  context.output.note(`plugin ${id} is on${told(change)}`);
  await tellFollowers(context);
}

/** `mezctl plugins disable` */
export async function disablePlugin(context: CommandContext, id: string): Promise<void> {
  const client = await context.rpc(PluginCatalogServiceService);
  const { change } = await client.disablePlugin({ id }, { signal: context.signal, timeoutMs: CHANGE_MS });
  context.output.note(`plugin ${id} is off${told(change)}`);
  await tellFollowers(context);
}

/** `mezctl plugins reload` */
export async function reloadPlugins(context: CommandContext, id = ""): Promise<void> {
  const client = await context.rpc(PluginCatalogServiceService);
  const { change } = await client.reloadPlugins({ id }, { signal: context.signal, timeoutMs: CHANGE_MS });
  context.output.note(told(change) === "" ? "nothing changed" : `reloaded${told(change)}`);
  await tellFollowers(context);
}

/** What a change did, to follow what was asked for: `: started hr-sync`; empty when it did nothing. */
export function told(change: PluginChange | undefined): string {
  const parts = (["started", "replaced", "stopped"] as const).flatMap((what) => {
    const ids = change?.[what] ?? [];
    return ids.length === 0 ? [] : [`${what} ${ids.join(", ")}`];
  });
  return parts.length === 0 ? "" : `: ${parts.join("; ")}`;
}

/**
 * Waits a little for the other auth servers, and says which of them do what was decided. Says nothing where there are none. What
 * was decided holds, so a failure to learn more is no failure of the command.
 */
export async function tellFollowers(context: CommandContext): Promise<void> {
  await askFollowers(context).catch((error: unknown) => {
    if (context.signal.aborted) throw error;
    context.output.note(`which auth servers follow is not known: ${messageOf(error)}`);
  });
}

// --- internal ---

async function askFollowers(context: CommandContext): Promise<void> {
  const client = await context.rpc(PluginCatalogServiceService);
  for (let round = 1; ; round++) {
    const { servers } = await client.listPlugins({}, { signal: context.signal });
    if (servers.length < 2) return;
    if (round < FOLLOW_ROUNDS && servers.some(({ isCurrent, problem }) => !isCurrent && problem === "")) {
      await delay(FOLLOW_MS, undefined, { signal: context.signal });
      continue;
    }
    const current = servers.filter(({ isCurrent }) => isCurrent).map(nameOf);
    context.output.note(`done by ${current.length} of ${servers.length} auth servers: ${current.join(", ")}`);
    for (const line of stragglers(servers)) context.output.note(line);
    return;
  }
}

/** Each looks every second. */
const FOLLOW_MS = 300;
const FOLLOW_ROUNDS = 30;

function nameOf({ name, address }: PluginServer): string {
  return address === "" ? name : `${name} (${address})`;
}

function stragglers(servers: readonly PluginServer[]): readonly string[] {
  return servers
    .filter(({ isCurrent }) => !isCurrent)
    .map((server) => `warning: auth server ${nameOf(server)} ${notCurrent(server)}`);
}

function packageProblems(plugins: readonly Plugin[]): readonly string[] {
  return plugins.flatMap(({ id, state, package: origin }) => {
    if (origin === undefined || origin.problem === "") return [];
    const what = state === "missing" ? "the server runs without plugin" : "the server runs its own copy of plugin";
    return [`warning: ${what} ${id}: ${origin.problem.replace(`plugin "${id}": `, "")}`];
  });
}

function notCurrent({ problem }: PluginServer): string {
  return problem === "" ? "has not followed yet" : `cannot do what was decided: ${problem}`;
}

/** `lock:list (admin, auditor)`, `session:report (proxy, node)` */
function permissionsOf({ contributes }: Plugin): readonly string[] {
  return (contributes?.permissions ?? []).map(({ permission, grantedTo }) => {
    const holders = isForMachines(grantedTo) ? grantedTo : ["admin", ...grantedTo];
    return `${permission} (${holders.join(", ")})`;
  });
}

const MAX_WHY = 80;

/** `running, 61 MiB`, `restarting, 3 restarts, it ended with exit code 70: Error: boom` */
function healthOf({ state, restarts, memoryBytes, lastFailure }: PluginHealth): string {
  const memory = memoryBytes > 0 ? [`${Math.round(memoryBytes / 1024 / 1024)} MiB`] : [];
  const again = restarts > 0 ? [`${restarts} restart${restarts === 1 ? "" : "s"}`] : [];
  const why = lastFailure === "" ? [] : [lastFailure.length > MAX_WHY ? `${lastFailure.slice(0, MAX_WHY)}…` : lastFailure];
  return [state, ...memory, ...again, ...why].join(", ");
}

const LIST_COLUMNS: readonly Column<Plugin>[] = [
  { key: "id", header: "ID", value: (plugin) => plugin.id },
  { key: "state", header: "STATE", value: (plugin) => plugin.state },
  { key: "decidedBy", header: "DECIDED BY", value: (plugin) => plugin.decidedBy },
  { key: "version", header: "VERSION", value: (plugin) => plugin.version },
  { key: "health", header: "HEALTH", value: ({ health }) => (health === undefined ? undefined : healthOf(health)) },
  { key: "leases", header: "IN USE", value: (plugin) => plugin.leases, align: "right" },
  { key: "summary", header: "SUMMARY", value: (plugin) => plugin.summary, shrink: true },
];

const ALL_COLUMNS: readonly Column<Plugin>[] = [
  ...LIST_COLUMNS,
  { key: "from", header: "FROM", value: (plugin) => plugin.package?.from ?? "this build" },
  { key: "integrity", header: "INTEGRITY", value: (plugin) => plugin.package?.integrity },
  { key: "problem", header: "PROBLEM", value: (plugin) => plugin.package?.problem },
  {
    key: "isolation",
    header: "ISOLATION",
    value: ({ package: origin }) => (origin?.isolation === "process" ? `process, ${origin.memoryMib} MiB` : origin?.isolation),
  },
  { key: "lastFailure", header: "LAST FAILURE", value: (plugin) => plugin.health?.lastFailure },
  { key: "starts", header: "STARTS", value: (plugin) => plugin.starts },
  { key: "runsIn", header: "RUNS IN", value: (plugin) => plugin.runsIn },
  { key: "provides", header: "PROVIDES", value: (plugin) => plugin.provides },
  { key: "requires", header: "REQUIRES", value: (plugin) => plugin.requires },
  { key: "implements", header: "IMPLEMENTS", value: (plugin) => plugin.implements },
  {
    key: "commands",
    header: "COMMANDS",
    value: (plugin) => (plugin.contributes?.commands ?? []).map(({ binary, name }) => `${binary} ${name}`),
  },
  { key: "rpc", header: "RPC", value: (plugin) => plugin.contributes?.rpc },
  {
    key: "permissions",
    header: "PERMISSIONS",
    value: (plugin) => permissionsOf(plugin).join("; "),
    json: permissionsOf,
  },
  { key: "auditEvents", header: "AUDIT EVENTS", value: (plugin) => plugin.auditEvents },
  { key: "collections", header: "COLLECTIONS", value: (plugin) => plugin.collections },
  { key: "tables", header: "TABLES", value: (plugin) => plugin.tables },
  { key: "reach", header: "TOUCHES", value: (plugin) => plugin.reach },
];
