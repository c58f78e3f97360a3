import type { CommandSummary } from "../core/cli/route.js";
import { MezError } from "../core/errors/error.js";
import type { CatalogEntry } from "../core/host/catalog.js";
import type { Binary, CommandNode, Commands } from "../core/plugin/commands.js";
import type { Manifest } from "../core/plugin/manifest.js";
import { BUILTIN_PLUGINS } from "../plugins/builtin.js";
import { naming, type Owners } from "./not-enabled.js";

/**
 * The commands that plugins contribute to a binary, read from their manifests alone. A plugin's `commands.ts` is
 * imported when one of its commands is called. What a manifest describes without a module is left to `serverCommands`.
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
      .filter((each) => each.binary === binary && (entry.commands !== undefined || each.commands === undefined))
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

/** A group with the commands that other plugins add to it. */
async function loadMerged(binary: Binary, name: string, loads: readonly (() => Promise<Commands>)[]): Promise<Commands> {
  const [own, ...more] = (await Promise.all(loads.map((each) => each()))).map((commands) =>
    commands[binary]?.find((node) => node.name === name),
  );
  if (own === undefined || !("commands" in own)) throw new MezError("INTERNAL", `"${binary} ${name}" is no group of commands`);
  const added = more.flatMap((node) => (node !== undefined && "commands" in node ? node.commands : []));
  return { [binary]: [{ ...own, commands: withGroupsJoined([...own.commands, ...added]) }] };
}

/** Groups of one name become one, so that several plugins add to `integrations configure`. */
function withGroupsJoined(nodes: readonly CommandNode[]): readonly CommandNode[] {
  const joined: CommandNode[] = [];
  for (const node of nodes) {
    const index = joined.findIndex(({ name }) => name === node.name);
    const before = joined[index];
    if (before === undefined || !("commands" in before) || !("commands" in node)) joined.push(node);
    else joined[index] = { ...before, commands: withGroupsJoined([...before.commands, ...node.commands]) };
  }
  return joined;
}

async function load(entry: CatalogEntry, id: string, owners: Owners): Promise<Commands> {
  if (entry.commands === undefined) throw new MezError("INTERNAL", `plugin "${id}" lists commands and has no commands module`);
  const commands = (await entry.commands()).default as Commands;
  return Object.fromEntries(
    Object.entries(commands).map(([binary, nodes = []]) => [binary, nodes.map((node) => naming(node, id, owners))]),
  );
}
