import { describedGroup } from "../core/cli/described-command.js";
import type { CommandSummary, ServerCommands } from "../core/cli/route.js";
import { escapeControls } from "../core/cli/terminal-text.js";
import { MezError } from "../core/errors/error.js";
import type { CommandContext } from "../core/plugin/commands.js";
import type { CommandReference } from "../core/plugin/manifest.js";
import { DescribedServices } from "../core/rpc/described-service.js";
import {
  type DescribePluginsResponse,
  PluginCatalogServiceService,
  type PluginDescription,
} from "../proto/gen/mezite/plugin_catalog/v1/plugin_catalog.js";
import { authServersIn, meziteFolder } from "./cluster-connection.js";
import { DescriptionCache } from "./description-cache.js";
import { knownLocalCommands } from "./known-commands.js";
import { naming, notEnabled } from "./not-enabled.js";

const ASK_MS = 10_000;
const MAX_TEXT = 200;

/**
 * Commands of plugins that this `mezctl` was not built with: those of packages that the person named, whose code is here, then those
 * that the server describes. What it says of them is kept for each server under its digest, so that it is sent once; no
 * code comes from there.
 */
export const serverCommands: ServerCommands = {
  async find(word, context) {
    const { localCommands } = await import("./local-commands.js");
    const { commands, failures } = await localCommands(meziteFolder(context));
    const local = commands.find(({ name }) => name === word);
    if (local !== undefined) return local;
    // It could have been the one.
    if (failures.length > 0) throw failures[0];
    const cache = cacheOf(context);
    const before = cache.read();
    const now = await describe(context, before);
    if (now !== before) cache.write(now);
    const found = ownerOf(word, now);
    if (found !== null) return summaryOf(found);
    const former = ownerOf(word, before);
    if (former !== null) throw await notEnabled(context, former.plugin.id, `it described "mezctl ${word}" before`);
    return null;
  },

  async known(context) {
    const commands = await knownLocalCommands(meziteFolder(context));
    const described = (cacheOf(context).read()?.plugins ?? []).flatMap((plugin) =>
      plugin.commands
        .filter(({ binary, name, commands: own }) => binary === "mezctl" && WORD.test(name) && own.length > 0)
        .map((command) => summaryOf({ plugin, command })),
    );
    return [...commands, ...described.filter(({ name }) => !commands.some((each) => each.name === name))];
  },
};

// --- internal ---

const WORD = /^[a-z][a-z0-9-]{0,39}$/;

function cacheOf(context: CommandContext): DescriptionCache {
  return new DescriptionCache(meziteFolder(context), authServersIn(String(context.globals["authServer"]))[0] as string);
}

interface Owned {
  readonly plugin: PluginDescription;
  readonly command: PluginDescription["commands"][number];
}

/** @returns `before` when it still holds. */
async function describe(context: CommandContext, before: DescribePluginsResponse | null): Promise<DescribePluginsResponse> {
  const client = await context.rpc(PluginCatalogServiceService);
  const answer = await client.describePlugins(
    { knownDigest: before?.digest ?? "" },
    { signal: context.signal, timeoutMs: ASK_MS },
  );
  return before !== null && answer.digest === before.digest ? before : answer;
}

function ownerOf(word: string, answer: DescribePluginsResponse | null): Owned | null {
  for (const plugin of answer?.plugins ?? []) {
    const command = plugin.commands.find(({ binary, name }) => binary === "mezctl" && name === word);
    if (command !== undefined) return { plugin, command };
  }
  return null;
}

function summaryOf({ plugin, command }: Owned): CommandSummary {
  const { name } = command;
  const summary = escapeControls(command.summary).slice(0, MAX_TEXT);
  if (command.commands.length === 0)
    throw new MezError(
      "INVALID_DOCUMENT",
      `"mezctl ${name}" belongs to plugin "${plugin.id}" ${plugin.version}, which does not describe its commands; use a mezctl that has it`,
    );
  const owners = new Map(plugin.rpc.map((service) => [service, plugin.id]));
  return {
    ...{ name, summary },
    load: async () => {
      const node = describedGroup(referenceOf(command), new DescribedServices(plugin.descriptors));
      return { mezctl: [naming(node, plugin.id, owners)] };
    },
  };
}

/** What came over the wire as a manifest has it; `describedGroup` checks it. */
function referenceOf({ name, summary, commands }: Owned["command"]): CommandReference {
  return {
    ...{ name, summary, binary: "mezctl" },
    commands: commands.map(({ output, ...each }) => ({
      ...{ name: each.name, summary: each.summary, rpc: each.rpc },
      arguments: each.arguments.map(({ type, positional, required, choices, ...rest }) => ({
        ...{ ...rest, type: type as "string", required },
        ...(positional ? { positional: true as const } : {}),
        ...(choices.length > 0 ? { choices } : {}),
      })),
      ...(output === undefined
        ? {}
        : { output: { ...some("rows", output.rows), ...some("record", output.record), columns: output.columns } }),
    })),
  };
}

function some<K extends string>(key: K, value: string): { readonly [P in K]?: string } {
  return (value === "" ? {} : { [key]: value }) as { readonly [P in K]?: string };
}
