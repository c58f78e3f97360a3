import { MezError } from "../../core/errors/error.js";
import type { Caller } from "../../core/plugin/caller.js";
import type { Collection } from "../../core/plugin/collection.js";
import type { Authenticator, CallCredentials } from "../../core/ports/authenticator.js";
import type { UserEntry } from "../roles/api.js";
import type { LoginSessions } from "./login-sessions.js";
import { hashLoginToken, isLoginToken } from "./login-token.js";

/** Knows people by their session token. Roles and traits are those of now, not those of the login. */
export class SessionAuthenticator implements Authenticator {
  constructor(
    private readonly sessions: LoginSessions,
    private readonly users: Collection<UserEntry>,
  ) {}

  async authenticate({ bearerToken }: CallCredentials): Promise<Caller | null> {
    if (bearerToken === null || !isLoginToken(bearerToken)) return null;
    const session = await this.sessions.find(hashLoginToken(bearerToken));
    const user = session === null ? undefined : this.users.get(session.userName);
    if (session === null || user === undefined)
      throw new MezError("UNAUTHENTICATED", "the session is unknown or has ended; log in again");
    return {
      kind: "user",
      name: session.userName,
      roles: user.roles,
      traits: user.traits,
      sessionId: session.id,
      mustChangePassword: session.mustChangePassword,
    };
  }
}
