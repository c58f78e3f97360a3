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
}

/**
 * `msh config`
 * @param agent Leaves keys to `msh agent`, in place of files.
 */
export async function printConfig(context: CommandContext, { include, agent }: ConfigInput): Promise<void> {
  const store = new ProfileStore(meziteFolder(context));
  const profile = chosenProfile(context, store);
  if (!agent && profile.expiresAt <= context.now())
    context.output.note('the certificate has expired; run "msh login" before you use this');
  await write(
    context.stdout,
    formatSshConfig(
      profile,
      store.filesOf(profile.cluster),
      include ? "cluster" : "everything",
      agent ? agentSocket(context) : null,
    ),
  );
}
