import { MezError } from "../../core/errors/error.js";
import type { Caller } from "../../core/plugin/caller.js";
import type { Collection } from "../../core/plugin/collection.js";
import type { Database } from "../../core/plugin/database.js";
import type { Authenticator, CallCredentials } from "../../core/ports/authenticator.js";
import { type Guards, guardRefusal } from "../../core/ports/guard.js";
import type { Access, UserEntry } from "../roles/api.js";
import type { LoginSessions } from "./login-sessions.js";
import { hashLoginToken, isLoginToken } from "./login-token.js";

/** Knows people by their session token. Roles and traits are those of now, not those of the login; roles that were granted for a time are among them. */
export class SessionAuthenticator implements Authenticator {
  constructor(
    private readonly sessions: LoginSessions,
    private readonly users: Collection<UserEntry>,
    private readonly access: Pick<Access, "holdings">,
    private readonly guards: Guards,
    private readonly database: Database,
  ) {}

  async authenticate({ bearerToken, clientAddress }: CallCredentials): Promise<Caller | null> {
    if (bearerToken === null || !isLoginToken(bearerToken)) return null;
    const session = await this.sessions.find(hashLoginToken(bearerToken));
    const user = session === null ? undefined : this.users.get(session.userName);
    if (session === null || user === undefined)
      throw new MezError("UNAUTHENTICATED", "the session is unknown or has ended; log in again");
    const caller = {
      kind: "user",
      name: session.userName,
      roles: this.access.holdings(session.userName).roles,
      traits: user.traits,
      sessionId: session.id,
      mustChangePassword: session.mustChangePassword,
      ...(session.device === null ? {} : { device: session.device }),
    } as const;
    await this.#requireNoRefusal(caller, clientAddress);
    return caller;
  }

  async #requireNoRefusal({ name, roles, sessionId, device }: Caller & { kind: "user" }, clientIp: string): Promise<void> {
    const refusal = guardRefusal(this.guards, { user: name, roles, ...(device === undefined ? {} : { device }) });
    if (refusal === null) return;
    const { message, detail } = refusal;
    await this.database.transaction(async (tx) => {
      tx.audit({
        type: "access.denied",
        userName: name,
        userRoles: roles,
        sessionId,
        clientIp,
        success: false,
        errorMessage: message,
        metadata: { detail },
      });
    });
    throw new MezError("ACCESS_DENIED", message, { detail });
  }
}
