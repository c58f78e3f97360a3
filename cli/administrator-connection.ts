import type { RunConnection } from "../core/cli/command-context.js";
import { MezError } from "../core/errors/error.js";
import type { CommandContext } from "../core/plugin/commands.js";
import { Secret } from "../core/plugin/secret.js";
import { authServersIn, connectTo, meziteFolder } from "./cluster-connection.js";
import { hasAll } from "./msh/profile.js";
import { ProfileStore } from "./msh/profile-store.js";

/** The connection behind `mezctl`: with the token that was given, else with the session of `msh login` at this address. */
export async function connectAsAdministrator(context: CommandContext): Promise<RunConnection> {
  const addresses = authServersIn(String(context.globals["authServer"]));
  const { token } = context.globals;
  const credentials = token instanceof Secret ? checkToken(token) : sessionAt(context, addresses);
  const { connection, learned } = await connectTo(context, addresses, credentials);
  return {
    client: (definition) => connection.client(definition),
    serverFingerprint: () => connection.serverFingerprint(),
    serverAuthority: () => connection.serverAuthority(),
    close: () => connection.close(),
    // No command of an administrator needs what is learned, so it costs no round trip of its own.
    meanwhile: learned,
  };
}

// --- internal ---

/** What cannot stand in a header is not sent; the server says of everything else whether it knows it. */
function checkToken(token: Secret): Secret {
  if (/^[\x21-\x7e]{1,512}$/.test(token.expose())) return token;
  throw new MezError("UNAUTHENTICATED", "the session token is malformed; it is one word, as mezctl login prints it");
}

/** Only when the login knows every one of the addresses: whichever answers, it is the cluster that the session is of. */
function sessionAt(context: CommandContext, addresses: readonly string[]): Secret | undefined {
  const store = new ProfileStore(meziteFolder(context));
  const profile = store.current();
  if (profile === null || !hasAll(profile.authServers, addresses) || profile.sessionExpiresAt <= context.now()) return undefined;
  return store.sessionToken(profile.cluster) ?? undefined;
}
