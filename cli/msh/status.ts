import { EXIT_CODES } from "../../core/cli/exit-codes.js";
import type { Column, CommandContext, ExitCode } from "../../core/plugin/commands.js";
import { meziteFolder } from "../cluster-connection.js";
import { ago } from "./ago.js";
import type { Profile } from "./profile.js";
import { ProfileStore } from "./profile-store.js";
import { chosenProfile } from "./user-connection.js";

/** How a login is shown, after `msh login` and by `msh status`. */
export const PROFILE_COLUMNS: readonly Column<Profile & { readonly state: string }>[] = [
  { key: "user", header: "User", value: (profile) => profile.user },
  { key: "cluster", header: "Cluster", value: (profile) => profile.cluster },
  { key: "roles", header: "Roles", value: (profile) => profile.roles, json: (profile) => profile.roles },
  { key: "logins", header: "Logins", value: (profile) => realLogins(profile), json: (profile) => realLogins(profile) },
  { key: "validUntil", header: "Valid until", value: (profile) => profile.expiresAt },
  { key: "state", header: "State", value: (profile) => profile.state },
  { key: "authServer", header: "Auth service", value: (profile) => profile.authServers.join(",") },
  { key: "proxy", header: "SSH proxy", value: (profile) => profile.proxies.join(",") },
];

/** `msh status` @returns 3 when the login has expired. */
export async function showStatus(context: CommandContext): Promise<ExitCode> {
  const store = new ProfileStore(meziteFolder(context));
  const profile = chosenProfile(context, store);
  const expired = profile.expiresAt <= context.now();
  await context.output.record({ ...profile, state: expired ? "expired" : "valid" }, PROFILE_COLUMNS);
  const others = store.all().filter(({ cluster }) => cluster !== profile.cluster);
  if (others.length > 0)
    context.output.note(`also logged in: ${others.map(({ user, cluster }) => `${user} on ${cluster}`).join(", ")}`);
  if (!expired) return EXIT_CODES.ok;
  context.output.note(`the login expired ${ago(profile.expiresAt, context.now())}; run "msh login"`);
  return EXIT_CODES.unauthenticated;
}

// --- internal ---

/** Without the name that stands for "none": a certificate cannot have no principals. */
function realLogins({ logins }: Profile): readonly string[] {
  return logins.filter((login) => !login.startsWith("-"));
}
