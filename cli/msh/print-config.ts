import { write } from "../../core/cli/output.js";
import type { CommandContext } from "../../core/plugin/commands.js";
import { meziteFolder } from "../cluster-connection.js";
import { agentSocket } from "./agent/agent-path.js";
import { formatSshConfig } from "./openssh-config.js";
import { ProfileStore } from "./profile-store.js";
import { chosenProfile } from "./user-connection.js";

export interface ConfigInput {
  readonly include: boolean;
  readonly agent: boolean;
  readonly jump: boolean;
}

/**
 * `msh config`
 * @param agent Leaves keys to `msh agent`, in place of files.
 * @param jump Leaves the way to the nodes to ssh alone.
 */
export async function printConfig(context: CommandContext, { include, agent, jump }: ConfigInput): Promise<void> {
  const store = new ProfileStore(meziteFolder(context));
  const profile = chosenProfile(context, store);
  if (!agent && profile.expiresAt <= context.now())
    context.output.note('the certificate has expired; run "msh login" before you use this');
  const files = store.filesOf(profile.cluster);
  await write(
    context.stdout,
    formatSshConfig(
      profile,
      jump ? { ...files, folder: null } : files,
      include ? "cluster" : "everything",
      agent ? agentSocket(context) : null,
    ),
  );
}
