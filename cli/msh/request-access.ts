import { MezError } from "../../core/errors/error.js";
import type { Command, CommandContext, CommandNode } from "../../core/plugin/commands.js";
import { AccessRequestServiceService } from "../../proto/gen/mezite/access_requests/v1/access_requests.js";
import { pluginCommands } from "../plugin-commands.js";

/**
 * Asks for what is missing to reach a node, waits for the approval, and fetches certificates with it. Does nothing for a
 * node that is reached already. A role is asked for rather than the node alone, when there is exactly one that fits.
 * @throws {MezError} `ACCESS_DENIED` when there is nothing to ask for, or the request was denied
 */
export async function requestAccess(context: CommandContext, node: string, reason: string | undefined): Promise<void> {
  const client = await context.rpc(AccessRequestServiceService);
  const { reachable, roles, node: isOffered } = await client.suggestAccess({ node }, { signal: context.signal });
  if (reachable) return;
  const [role, second] = roles;
  if (role === undefined && !isOffered)
    throw new MezError("ACCESS_DENIED", `there is no node "${node.slice(0, 80)}" that you may reach, or ask for`);
  if (second !== undefined && !isOffered)
    throw new MezError(
      "INVALID_ARGUMENT",
      `several roles reach ${node}: ${roles.join(", ")}; ask for one with msh request create --roles=… --wait`,
    );
  const asked = isOffered ? { roles: undefined, nodes: [node] } : { roles: [role ?? ""], nodes: undefined };
  const create = await commandOf("request", "create");
  await create.run(
    { ...context, output: { ...context.output, note: (text) => context.output.note(text), record: async () => {} } },
    { ...asked, reason, ttl: undefined, wait: true },
  );
}

// --- internal ---

/** The command of the plugin, so that asking is written once. */
async function commandOf(group: string, name: string): Promise<Command> {
  const summary = pluginCommands("msh").find((each) => each.name === group);
  const found = (await summary?.load())?.msh?.find((node) => node.name === group);
  const children: readonly CommandNode[] = found !== undefined && "commands" in found ? found.commands : [];
  const command = children.find((node) => node.name === name);
  if (command === undefined || "commands" in command) throw new MezError("INTERNAL", `there is no command msh ${group} ${name}`);
  return command;
}
