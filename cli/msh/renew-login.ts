import { MezError } from "../../core/errors/error.js";
import type { CommandContext } from "../../core/plugin/commands.js";
import { meziteFolder, trustFor } from "../cluster-connection.js";
import { fetchCertificates } from "./fetch-certificates.js";
import { formatSshConfig } from "./openssh-config.js";
import type { Profile } from "./profile.js";
import { ProfileStore } from "./profile-store.js";
import { chosenProfile } from "./user-connection.js";

/**
 * Fetches certificates for new keys under the session of a login, and keeps them in its place.
 * @param ttlSeconds `undefined` for what the cluster gives by itself.
 * @throws {MezError} `UNAUTHENTICATED` when the login has ended
 */
export async function renewLogin(
  context: CommandContext,
  store: ProfileStore,
  profile: Profile,
  ttlSeconds: number | undefined,
): Promise<void> {
  const token = store.sessionToken(profile.cluster);
  if (token === null) throw new MezError("UNAUTHENTICATED", 'the login has no session any more; run "msh login"');
  const { user, authServers, sessionExpiresAt } = profile;
  const decision = await trustFor(context, authServers);
  const login = { user, authServers, token, sessionExpiresAt };
  const { profile: renewed, credentials, notice } = await fetchCertificates(context, login, decision, ttlSeconds);
  // It may have ended while the certificates were on their way: a logout stands.
  if (store.sessionToken(profile.cluster)?.expose() !== token.expose()) return;
  if (notice !== "") context.output.note(notice);
  store.keep(renewed, credentials, formatSshConfig(renewed, store.filesOf(renewed.cluster), "everything"));
}

/** The same for the login that a command works with. */
export async function renewChosenLogin(context: CommandContext): Promise<void> {
  const store = new ProfileStore(meziteFolder(context));
  await renewLogin(context, store, chosenProfile(context, store), undefined);
}
