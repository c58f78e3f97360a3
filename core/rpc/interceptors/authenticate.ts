import { MezError } from "../../errors/error.js";
import type { Caller } from "../../plugin/caller.js";
import type { Authenticator, CallCredentials } from "../../ports/authenticator.js";

/** The caller that the first fitting authenticator finds; anonymous when the call brought no credentials at all. */
export async function authenticate(credentials: CallCredentials, authenticators: readonly Authenticator[]): Promise<Caller> {
  const { bearerToken, clientCertificate, foreignCertificate = null } = credentials;
  const brings = bearerToken !== null || clientCertificate !== null;
  if (!brings && foreignCertificate === null) return { kind: "anonymous" };
  for (const authenticator of authenticators) {
    const caller = await authenticator.authenticate(credentials);
    if (caller !== null) return caller;
  }
  // A certificate that nobody here knows counts as none.
  if (!brings) return { kind: "anonymous" };
  throw new MezError("UNAUTHENTICATED", "the session is unknown or has ended; log in again");
}
