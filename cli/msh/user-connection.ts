import { MezError } from "../../core/errors/error.js";
import type { CommandContext } from "../../core/plugin/commands.js";
import type { RpcConnection } from "../../core/plugin/rpc.js";
import { authServersIn, connectTo, meziteFolder } from "../cluster-connection.js";
import { ago } from "./ago.js";
import { certificateExpired } from "./certificate-expired.js";
import { hasAll, type Profile } from "./profile.js";
import { ProfileStore } from "./profile-store.js";
import { proxiesIn } from "./server-addresses.js";

/**
 * The login that a command works with: that at `--auth-server` or `--proxy` when one is given, else the last one.
 * @throws {MezError} `UNAUTHENTICATED` when there is none
 */
export function chosenProfile(context: CommandContext, store = new ProfileStore(meziteFolder(context))): Profile {
  const { authServer, proxy } = context.globals;
  if (typeof authServer === "string" || typeof proxy === "string") {
    const authServers = typeof authServer === "string" ? authServersIn(authServer) : [];
    const proxies = typeof proxy === "string" ? proxiesIn(proxy) : [];
    const found = store.all().find((profile) => hasAll(profile.authServers, authServers) && hasAll(profile.proxies, proxies));
    if (found !== undefined) return found;
    const where = [authServer, proxy].filter((each) => typeof each === "string").join(" and ");
    throw notLoggedIn(`you are not logged in at ${where}; run "msh login" with the same address`);
  }
  const current = store.current();
  if (current === null) throw notLoggedIn('you are not logged in; run "msh login"');
  return current;
}

/** The same, whose certificates are still valid. @throws {MezError} `UNAUTHENTICATED` */
export function validProfile(context: CommandContext, store?: ProfileStore): Profile {
  const profile = chosenProfile(context, store);
  if (profile.expiresAt > context.now()) return profile;
  throw certificateExpired(profile, context.now());
}

/** The connection behind `msh`, with the session of the chosen login. */
export async function connectAsUser(context: CommandContext): Promise<RpcConnection> {
  const store = new ProfileStore(meziteFolder(context));
  const profile = chosenProfile(context, store);
  const token = store.sessionToken(profile.cluster);
  if (token === null || profile.sessionExpiresAt <= context.now()) {
    throw notLoggedIn(
      `the login of ${profile.user} on cluster ${profile.cluster} expired ${ago(profile.sessionExpiresAt, context.now())}; run "msh login"`,
    );
  }
  const { connection, learned } = await connectTo(context, profile.authServers, token);
  // What is begun over this connection may need the new keys at once: an OpenSSH client, a written configuration.
  await learned;
  return connection;
}

// --- internal ---

function notLoggedIn(message: string): MezError {
  return new MezError("UNAUTHENTICATED", message);
}
