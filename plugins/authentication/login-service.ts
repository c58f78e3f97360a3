import { randomUUID } from "node:crypto";
import { isMezError, MezError } from "../../core/errors/error.js";
import type { AttemptLimiter } from "../../core/plugin/attempt-limiter.js";
import type { AuditRecord } from "../../core/plugin/audit.js";
import type { Caller } from "../../core/plugin/caller.js";
import type { Collection } from "../../core/plugin/collection.js";
import type { PortView } from "../../core/plugin/contract.js";
import type { Database, Transaction } from "../../core/plugin/database.js";
import type { Secret } from "../../core/plugin/secret.js";
import { type GuardRefusal, type Guards, guardRefusal } from "../../core/ports/guard.js";
import type { LoginStep } from "../../core/ports/login-step.js";
import type { Clock } from "../../core/time/clock.js";
import type { Access, UserEntry } from "../roles/api.js";
import { LOGIN_SESSIONS_ENDED, type PreparedPassword } from "./api.js";
import { invalidCredentials, LoginRefusals, methodOf, USER_NAME } from "./login-refusals.js";
import { deleteSession, insertSession } from "./login-session-repository.js";
import type { LoginSessions } from "./login-sessions.js";
import { type LoginDemands, LoginSteps } from "./login-steps.js";
import { generateLoginToken, hashLoginToken } from "./login-token.js";
import type { OutsideLogin } from "./outside-login.js";
import { hashPassword, MAX_PASSWORD_CHARACTERS, needsRehash, verifyPassword } from "./password-hash.js";
import { findPassword, type StoredPassword, savePassword } from "./password-repository.js";
import type { PasswordService } from "./password-service.js";
import { grantTtl } from "./ttl.js";

type Person = Caller & { readonly kind: "user" };

export interface LoginRequest {
  /** Who checks the password; `null` for this cluster itself. */
  readonly connector: string | null;
  readonly userName: string;
  readonly password: Secret;
  /** Takes the place of the password on the way in; `null` leaves it. */
  readonly newPassword: Secret | null;
  /** 0 asks for the default. */
  readonly ttlSeconds: number;
  readonly clientAddress: string;
  /** What the client says to each login step, by the step's name. */
  readonly answers: ReadonlyMap<string, Buffer>;
}

/** The password was right, and login steps want more. */
export interface UnfinishedLogin {
  readonly demands: LoginDemands;
  readonly mustChangePassword: boolean;
}

/** The password was right, and a guard refuses the device. */
interface LockedLogin {
  readonly locked: GuardRefusal;
}

export interface OpenedSession {
  readonly token: Secret;
  readonly expiresAt: Date;
  readonly mustChangePassword: boolean;
  readonly notice: string;
}

export interface LoginServiceParts {
  readonly database: Database;
  readonly clock: Clock;
  readonly users: Collection<UserEntry>;
  readonly access: Access;
  readonly limiter: AttemptLimiter;
  readonly sessions: LoginSessions;
  readonly passwords: PasswordService;
  readonly guards: Guards;
  readonly steps: Pick<PortView<LoginStep>, "names" | "get">;
  readonly outside: Pick<OutsideLogin, "requireConnector" | "identify" | "isStill">;
  /** Steps that nobody may do without. */
  readonly demandedSteps: () => readonly string[];
  /** How long a login lasts unless it asks otherwise, as it holds now. */
  readonly defaultTtlSeconds: () => number;
}

/** Opens and ends login sessions, and changes passwords. */
export class LoginService {
  readonly #steps: LoginSteps;
  readonly #refusals: LoginRefusals;

  constructor(private readonly parts: LoginServiceParts) {
    this.#steps = new LoginSteps(parts.steps, parts.demandedSteps);
    this.#refusals = new LoginRefusals(parts.database, this.#steps);
  }

  /**
   * Checks a password and opens a login session, unless login steps demand more first.
   * @throws {MezError} `INVALID_CREDENTIALS`, the same whichever part is wrong; `TOO_MANY_ATTEMPTS`; `PASSWORD_REFUSED`;
   *   `ACCESS_DENIED` for the right password of somebody whom a guard refuses; what a login step says to a wrong answer
   */
  async logIn(request: LoginRequest): Promise<OpenedSession | UnfinishedLogin> {
    const { connector, password, newPassword, ttlSeconds, clientAddress } = request;
    const { database, users, guards, outside, sessions } = this.parts;
    grantTtl(ttlSeconds, this.parts.defaultTtlSeconds(), null); // a request that makes no sense costs no attempt
    if (connector !== null) outside.requireConnector(connector);
    if (connector !== null && newPassword !== null)
      throw new MezError("INVALID_ARGUMENT", `the password is kept by connector ${connector}, and is changed there`);
    const attempt = this.#begin(request.userName, clientAddress);
    const proven = connector === null ? await this.#proveHere(request) : await this.#proveOutside({ ...request, connector });
    const entry = typeof proven === "string" ? undefined : users.get(proven.userName);
    if (typeof proven === "string" || entry === undefined)
      throw await this.#refusals.wrongCredentials(request, typeof proven === "string" ? proven : "unknown user");
    const { userName, stored } = proven;
    attempt.succeeded();
    // After the password: whether somebody is locked is told to nobody else.
    const refusal = guardRefusal(guards, { user: userName, roles: entry.roles });
    if (refusal !== null) throw await this.#refusals.locked({ ...request, userName }, refusal);
    const replacement = newPassword === null ? null : await this.#prepareNew(userName, password, newPassword);
    const rehashed = replacement === null && stored !== null && needsRehash(stored.hash) ? await hashPassword(password) : null;
    const checked = { ...request, userName, userRoles: entry.roles, stored, replacement, rehashed };
    const opened = await database
      .transaction((tx) => this.#open(tx, checked))
      .catch((error: unknown) => this.#refusals.step({ ...request, userName }, error));
    if ("locked" in opened) throw await this.#refusals.locked({ ...request, userName }, opened.locked);
    if (replacement !== null && "token" in opened) sessions.forget({ userName });
    return opened;
  }

  /** @throws {MezError} `INVALID_CREDENTIALS`, `PASSWORD_REFUSED`, `TOO_MANY_ATTEMPTS` */
  async changePassword(person: Person, oldPassword: Secret, newPassword: Secret, clientAddress: string): Promise<void> {
    const { database, passwords, sessions } = this.parts;
    const attempt = this.#begin(person.name, clientAddress);
    const stored = await this.#verify(person.name, oldPassword);
    if (typeof stored === "string") throw await this.#refusals.wrongCredentials({ userName: person.name, clientAddress }, stored);
    attempt.succeeded();
    const prepared = await this.#prepareNew(person.name, oldPassword, newPassword);
    await database.transaction(async (tx) => {
      const current = await findPassword(tx.em, person.name);
      if (current?.hash.expose() !== stored.hash.expose()) throw invalidCredentials("the password changed meanwhile");
      await passwords.set(tx, person.name, prepared, false, person.sessionId);
      auditChange(tx, { userName: person.name, userRoles: person.roles, sessionId: person.sessionId, clientIp: clientAddress });
    });
    sessions.forget({ userName: person.name, exceptSessionId: person.sessionId });
  }

  /** Ends the session that the call came with. */
  async logOut(person: Person, clientAddress: string): Promise<void> {
    await this.parts.database.transaction(async (tx) => {
      await deleteSession(tx.em, person.sessionId);
      tx.emit(LOGIN_SESSIONS_ENDED, { userName: person.name, onlySessionId: person.sessionId });
      tx.audit({
        type: "user.logout",
        userName: person.name,
        userRoles: person.roles,
        sessionId: person.sessionId,
        clientIp: clientAddress,
      });
    });
    this.parts.sessions.forget({ userName: person.name, onlySessionId: person.sessionId });
  }

  /** Opens the session of somebody whose password was right, in one transaction with all that goes with it. */
  async #open(tx: Transaction, login: CheckedLogin): Promise<OpenedSession | UnfinishedLogin | LockedLogin> {
    const { userName, userRoles, clientAddress, connector, stored, replacement, rehashed } = login;
    const { clock, guards, outside, passwords } = this.parts;
    const current = stored === null ? null : await findPassword(tx.em, userName);
    // Deleted or changed while the hash was computed: the password that was checked opens nothing any more.
    if (current?.hash.expose() !== stored?.hash.expose()) throw invalidCredentials("the password changed during the login");
    if (connector !== null && !(await outside.isStill(tx, userName, connector)))
      throw invalidCredentials("the account changed during the login");
    const mustChangePassword = replacement === null && current?.mustChange === true;
    const id = randomUUID();
    const steps = await this.#steps.take(tx, { userName, userRoles, clientAddress, sessionId: id }, login.answers);
    if (steps.demands.length > 0) return { demands: steps.demands, mustChangePassword };
    const atDevice = steps.device === null ? {} : { device: steps.device };
    const locked = guardRefusal(guards, { user: userName, roles: userRoles, ...atDevice });
    if (locked !== null) return { locked };
    const now = clock.now();
    const who = { userName, userRoles, sessionId: id, clientIp: clientAddress };
    if (rehashed !== null && current !== null) await savePassword(tx.em, userName, { ...current, hash: rehashed }, now);
    if (replacement !== null) {
      await passwords.set(tx, userName, replacement, false);
      auditChange(tx, who);
    }
    const token = generateLoginToken();
    const { ttlSeconds, notice } = this.#ttlOf(login);
    const expiresAt = new Date(now.getTime() + ttlSeconds * 1000);
    const times = { createdAt: now, expiresAt, lastUsedAt: now };
    const tokenHash = hashLoginToken(token.expose());
    await insertSession(tx.em, { id, tokenHash, userName, clientAddress, device: steps.device, ...times });
    const facts = { method: methodOf(login), expires_at: expiresAt.toISOString(), must_change_password: mustChangePassword };
    tx.audit({ ...who, type: "user.login", metadata: { ...facts, ...steps.facts } });
    return { token, expiresAt, mustChangePassword, notice };
  }

  #ttlOf({ userName, userRoles, ttlSeconds }: CheckedLogin): ReturnType<typeof grantTtl> {
    const { maxSessionTtlSeconds } = this.parts.access.sessionOptions({ user: userName, roles: userRoles });
    return grantTtl(ttlSeconds, this.parts.defaultTtlSeconds(), maxSessionTtlSeconds);
  }

  async #prepareNew(userName: string, oldPassword: Secret, newPassword: Secret): Promise<PreparedPassword> {
    if (newPassword.expose() === oldPassword.expose())
      throw new MezError("PASSWORD_REFUSED", "the new password is refused: it is the old one");
    return this.parts.passwords.prepare(userName, newPassword);
  }

  #begin(userName: string, clientAddress: string): { succeeded(): void } {
    return this.parts.limiter.begin(userName, clientAddress);
  }

  async #proveHere({ userName, password }: LoginRequest): Promise<Proven | string> {
    const stored = await this.#verify(userName, password);
    return typeof stored === "string" ? stored : { userName, stored };
  }

  /** @returns Why not, for a wrong name or password; every other refusal is audited and thrown. */
  async #proveOutside(request: LoginRequest & { readonly connector: string }): Promise<Proven | string> {
    try {
      return { userName: await this.parts.outside.identify(request), stored: null };
    } catch (error) {
      if (!isMezError(error)) throw error;
      if (error.code === "INVALID_CREDENTIALS") return error.detail ?? "wrong password";
      await this.#refusals.wrongCredentials(request, error.detail ?? error.message);
      throw error;
    }
  }

  /** The stored password when it is the right one, else why not. */
  async #verify(userName: string, password: Secret): Promise<StoredPassword | string> {
    if (password.expose().length > MAX_PASSWORD_CHARACTERS) return "password too long";
    const stored = USER_NAME.test(userName) ? await this.parts.database.read((em) => findPassword(em, userName)) : null;
    const right = await verifyPassword(stored?.hash ?? null, password);
    if (stored === null) return "unknown user";
    return right ? stored : "wrong password";
  }
}

// --- internal ---

/** A login whose password was right, with what is computed before the transaction. */
interface CheckedLogin extends LoginRequest {
  readonly userRoles: readonly string[];
  readonly stored: StoredPassword | null;
  readonly replacement: PreparedPassword | null;
  readonly rehashed: Secret | null;
}

/** Whose password was right. */
interface Proven {
  /** Name of the account. */
  readonly userName: string;
  /** `null` when the password is kept elsewhere. */
  readonly stored: StoredPassword | null;
}

function auditChange(tx: Transaction, who: Omit<AuditRecord, "type">): void {
  tx.audit({ ...who, type: "user.password.changed", resourceType: "user", resourceName: who.userName });
}
