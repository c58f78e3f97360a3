import { isMezError, MezError } from "../core/errors/error.js";
import type { CommandContext, CommandNode, ExitCode } from "../core/plugin/commands.js";
import { BUILTIN_PLUGINS } from "../plugins/builtin.js";

/** The plugin that serves each gRPC service. */
export type Owners = ReadonlyMap<string, string>;

/** The same command, whose `PLUGIN_NOT_ENABLED` says which plugin and which cluster. */
export function naming(node: CommandNode, id: string, owners: Owners): CommandNode {
  if ("commands" in node) return { ...node, commands: node.commands.map((child) => naming(child, id, owners)) };
  return {
    ...node,
    async run(context, input): Promise<ExitCode> {
      try {
        return await node.run(context, input);
      } catch (error) {
        if (!isMezError(error, "PLUGIN_NOT_ENABLED") || /^plugin "/.test(error.message)) throw error;
        const service = /[a-z][a-z0-9_]*(?:\.[a-z0-9_]+)*\.v\d+\.[A-Za-z]+/.exec(error.message)?.[0];
        throw await notEnabled(context, owners.get(service ?? "") ?? id, error.message);
      }
    },
  };
}

/** The error that says which plugin is not enabled, and on which cluster. */
export async function notEnabled(context: CommandContext, plugin: string, detail: string): Promise<MezError> {
  return new MezError("PLUGIN_NOT_ENABLED", `plugin "${plugin}" is not enabled on cluster ${await clusterName(context)}`, {
    fields: { hint: hintFor(plugin) },
    detail,
  });
}

// --- internal ---

/** A package may have been taken out; what is part of the build is there and off. */
function hintFor(plugin: string): string {
  if (BUILTIN_PLUGINS.some(({ manifest }) => (manifest as { readonly id: string }).id === plugin))
    return `"mezctl plugins enable ${plugin}" switches it on`;
  return `"mezctl plugins ls" shows whether it is off there, or is not there at all`;
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
