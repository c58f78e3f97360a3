import type { Config } from "../core/config/config.js";
import { accountName } from "../core/plugin/account-name.js";
import type { CommandContext } from "../core/plugin/commands.js";
import type { ProcessRole } from "../core/plugin/contract.js";
import type { FirstAdmin } from "../core/plugin/first-start.js";

/** Tells the person at the terminal what runs, and at the first start the password and the lines to copy. */
export async function welcome(
  context: CommandContext,
  config: Config,
  roles: ReadonlySet<ProcessRole>,
  admin: FirstAdmin | null,
): Promise<void> {
  if (!roles.has("auth")) return;
  const lines = [`Mezite cluster "${config.clusterName}" is ready. Stop it with Ctrl-C.`];
  if (admin !== null) lines.push("", ...firstSteps(context, config, roles, admin));
  context.stdout.write(`\n${lines.join("\n")}\n\n`);
}

// --- internal ---

function firstSteps(
  context: CommandContext,
  config: Config,
  roles: ReadonlySet<ProcessRole>,
  admin: FirstAdmin,
): readonly string[] {
  // npm sets this when the daemon runs from a checkout, where the commands are reached through npx.
  const npx = context.env.npm_lifecycle_event === undefined ? "" : "npx ";
  const login = accountName() ?? "<login>";
  const node = (config.plugins.get("ssh-node")?.config as { name?: string } | undefined)?.name ?? "<node>";
  const session = roles.has("node")
    ? [
        `  ${npx}msh ssh ${login}@${node}`,
        `  ssh -F ~/.mezite/ssh_config ${login}@${node}   # the same with your own OpenSSH client`,
      ]
    : [];
  return [
    `The first user is "${admin.userName}". Its password is shown only now:`,
    "",
    `  ${admin.password.expose()}`,
    "",
    "In another terminal, log in, open a session, list it, and play its recording:",
    "",
    `  ${npx}msh login --user=${admin.userName}`,
    ...session,
    `  ${npx}mezctl recordings ls`,
    `  ${npx}msh play <id>`,
  ];
}
