import type { CommandSummary } from "../core/cli/route.js";
import { isMezError, MezError } from "../core/errors/error.js";
import type { CatalogEntry } from "../core/host/catalog.js";
import type { Binary, CommandContext, CommandNode, Commands, ExitCode } from "../core/plugin/commands.js";
import type { Manifest } from "../core/plugin/manifest.js";
import { BUILTIN_PLUGINS } from "../plugins/builtin.js";

/**
 * The commands that plugins contribute to a binary, read from their manifests alone. A plugin's `commands.ts` is
 * imported when one of its commands is called.
 */
export function pluginCommands(
  binary: "mezctl" | "msh",
  entries: readonly CatalogEntry[] = BUILTIN_PLUGINS,
): readonly CommandSummary[] {
  const plugins = entries.map((entry) => ({ entry, manifest: entry.manifest as Manifest }));
  const owners = new Map(
    plugins.flatMap(({ manifest }) => (manifest.contributes?.rpc ?? []).map((name) => [name, manifest.id] as const)),
  );
  const contributed = plugins.flatMap(({ entry, manifest }) =>
    (manifest.contributes?.commands ?? [])
      .filter((each) => each.binary === binary)
      .map((each) => ({ ...each, load: () => load(entry, manifest.id, owners) })),
  );
  return contributed
    .filter((each) => each.extends !== true)
    .map(({ name, summary, load: loadOwn }) => {
      const more = contributed.filter((each) => each.extends === true && each.name === name);
      if (more.length === 0) return { name, summary, load: loadOwn };
      return { name, summary, load: () => loadMerged(binary, name, [loadOwn, ...more.map((each) => each.load)]) };
    })
    .sort((left, right) => (left.name < right.name ? -1 : 1));
}

// --- internal ---

/** The plugin that serves each gRPC service. */
type Owners = ReadonlyMap<string, string>;

/** A group with the commands that other plugins add to it. */
async function loadMerged(binary: Binary, name: string, loads: readonly (() => Promise<Commands>)[]): Promise<Commands> {
  const [own, ...more] = (await Promise.all(loads.map((each) => each()))).map((commands) =>
    commands[binary]?.find((node) => node.name === name),
  );
  if (own === undefined || !("commands" in own)) throw new MezError("INTERNAL", `"${binary} ${name}" is no group of commands`);
  const added = more.flatMap((node) => (node !== undefined && "commands" in node ? node.commands : []));
  return { [binary]: [{ ...own, commands: [...own.commands, ...added] }] };
}

async function load(entry: CatalogEntry, id: string, owners: Owners): Promise<Commands> {
  if (entry.commands === undefined) throw new MezError("INTERNAL", `plugin "${id}" lists commands and has no commands module`);
  const commands = (await entry.commands()).default as Commands;
  return Object.fromEntries(
    Object.entries(commands).map(([binary, nodes = []]) => [binary, nodes.map((node) => naming(node, id, owners))]),
  );
}

/** The same command, whose `PLUGIN_NOT_ENABLED` says which plugin and which cluster. */
function naming(node: CommandNode, id: string, owners: Owners): CommandNode {
  if ("commands" in node) return { ...node, commands: node.commands.map((child) => naming(child, id, owners)) };
  return {
    ...node,
    async run(context, input): Promise<ExitCode> {
      try {
        return await node.run(context, input);
      } catch (error) {
        if (!isMezError(error, "PLUGIN_NOT_ENABLED") || /^plugin "/.test(error.message)) throw error;
        throw await notEnabled(error, context, id, owners);
      }
    },
  };
}

async function notEnabled(error: MezError, context: CommandContext, id: string, owners: Owners): Promise<MezError> {
  const service = /mezite\.[a-z0-9_.]+\.[A-Za-z]+/.exec(error.message)?.[0];
  const plugin = owners.get(service ?? "") ?? id;
  const cluster = await clusterName(context);
  return new MezError("PLUGIN_NOT_ENABLED", `plugin "${plugin}" is not enabled on cluster ${cluster}`, {
    fields: { hint: `"mezctl plugins enable ${plugin}" switches it on` },
    detail: error.message,
  });
}

async function clusterName(context: CommandContext): Promise<string> {
  try {
    const { AuthenticationServiceService } = await import("../proto/gen/mezite/authentication/v1/authentication.js");
    const client = await context.rpc(AuthenticationServiceService);
    return (await client.ping({}, { signal: context.signal })).clusterName;
  } catch {
    return "(name unknown)";
  }
}
