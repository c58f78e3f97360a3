import { join } from "node:path";
import type { CommandContext } from "../../../core/plugin/commands.js";
import { meziteFolder } from "../../cluster-connection.js";

/** Where `msh agent` listens when nothing else is said. */
export function agentSocket(context: CommandContext): string {
  return join(meziteFolder(context), "agent", "agent.sock");
}
