import { MezError } from "../../core/errors/error.js";
import type { AuditRecord } from "../../core/plugin/audit.js";
import { authorOf } from "../../core/plugin/audit-author.js";
import type { CollectionSource } from "../../core/plugin/collection.js";
import type { PortView } from "../../core/plugin/contract.js";
import type { Database, Transaction } from "../../core/plugin/database.js";
import type { CallContext } from "../../core/plugin/rpc.js";
import type { Secret } from "../../core/plugin/secret.js";
import { type Guards, guardRefusal } from "../../core/ports/guard.js";
import type { UserData } from "../../core/ports/user-data.js";
import type { Clock } from "../../core/time/clock.js";
import type { Passwords } from "../authentication/api.js";
import type { Roles } from "../roles/api.js";
import { type OutsidePerson, type OutsideUsers, USERS_COLLECTION, type User, type UserEntry, type Users } from "./api.js";
import { checkUserName, isUserName, printable } from "./user-name.js";
import { deleteUser, findHolders, findUser, findUsers, insertUser, updateUser } from "./user-repository.js";
import { mergeTraits, type TraitMap } from "./user-traits.js";

export interface NewUser {
  readonly name: string;
  readonly roles: readonly string[];
  readonly internalTraits: TraitMap;
  /** `null` lets the service make a one-time password. */
  readonly password: Secret | null;
  readonly requireChange: boolean;
}

export interface UserChange {
  /** Replaces all roles; `null` leaves them. */
  readonly roles: readonly string[] | null;
  readonly internalTraits: TraitMap;
}

/** Who makes a change, for the audit log; `null` is the server itself at its first start. */
export type Author = CallContext | null;

export interface UserServiceParts {
  readonly database: Database;
  readonly clock: Clock;
  readonly roles: Roles;
  readonly passwords: Passwords;
  readonly guards: Guards;
  /** What other plugins keep of users. */
  readonly data: Pick<PortView<UserData>, "all">;
}

/** The use cases of users, one transaction each. */
export class UserService implements Users, OutsideUsers, CollectionSource<UserEntry> {
  constructor(private readonly parts: UserServiceParts) {}

  list(): Promise<readonly User[]> {
    return this.parts.database.read(findUsers);
  }

  async get(name: string): Promise<User> {
    return this.parts.database.read((em) => existing(em, name));
  }

  async entries(): Promise<readonly (readonly [string, UserEntry])[]> {
    return (await this.list()).map((user) => [user.name, entryOf(user)] as const);
  }

  /**
   * @returns The user, and the password if the service made it: the only time that it can be seen.
   * @throws {MezError} `INVALID_ARGUMENT`, `USER_EXISTS`, `ROLE_NOT_FOUND`, `PASSWORD_REFUSED`
   */
  async create(request: NewUser, author: Author): Promise<{ readonly user: User; readonly oneTimePassword: Secret | null }> {
    checkUserName(request.name);
    const now = this.parts.clock.now();
    const internal = mergeTraits({}, request.internalTraits);
    const user: User = {
      name: request.name,
      roles: sorted(request.roles),
      traits: { internal, external: {} },
      createdAt: now,
      updatedAt: now,
      connector: null,
    };
    const oneTimePassword = request.password === null ? this.parts.passwords.generate() : null;
    const prepared = await this.#prepare(user.name, request.password ?? oneTimePassword);
    const mustChange = oneTimePassword !== null || request.requireChange;
    await this.parts.database.transaction(async (tx) => {
      if ((await findUser(tx.em, user.name)) !== null)
        throw new MezError("USER_EXISTS", `there is a user "${user.name}" already`);
      await this.parts.roles.requireAll(tx, user.roles);
      await this.#forgetFormer(tx, user.name);
      await insertUser(tx.em, user);
      await this.parts.passwords.set(tx, user.name, prepared, mustChange);
      tx.put(USERS_COLLECTION, user.name, entryOf(user));
      audit(tx, "user.created", user, author, { roles: user.roles, must_change_password: mustChange });
    });
    return { user, oneTimePassword };
  }

  /** @throws {MezError} `USER_NOT_FOUND`, `ROLE_NOT_FOUND`, `INVALID_ARGUMENT`, `LAST_ADMIN` */
  async update(name: string, change: UserChange, author: Author): Promise<User> {
    return this.parts.database.transaction(async (tx) => {
      const before = await existing(tx.em, name);
      const roles = change.roles === null ? before.roles : sorted(change.roles);
      const traits = { ...before.traits, internal: mergeTraits(before.traits.internal, change.internalTraits) };
      const user: User = { ...before, roles, traits, updatedAt: this.parts.clock.now() };
      await this.parts.roles.requireAll(
        tx,
        roles.filter((role) => !before.roles.includes(role)),
      );
      if (before.roles.includes(ADMIN)) await this.#keepAnAdmin(tx, user);
      await updateUser(tx.em, user);
      tx.put(USERS_COLLECTION, name, entryOf(user));
      audit(tx, "user.updated", user, author, { roles, roles_before: before.roles, traits: Object.keys(change.internalTraits) });
      return user;
    });
  }

  /** @throws {MezError} `USER_NOT_FOUND`, `PASSWORD_REFUSED` */
  async resetPassword(name: string, password: Secret | null, requireChange: boolean, author: Author): Promise<Secret | null> {
    const user = await this.get(name);
    const oneTimePassword = password === null ? this.parts.passwords.generate() : null;
    const prepared = await this.#prepare(name, password ?? oneTimePassword);
    await this.parts.database.transaction(async (tx) => {
      const { connector } = await existing(tx.em, name);
      if (connector !== null)
        throw new MezError("CONFLICT", `"${name}" signs in through connector ${connector} and has no password here`);
      await this.parts.passwords.set(tx, name, prepared, oneTimePassword !== null || requireChange);
      audit(tx, "user.updated", user, author, { password: "reset" });
    });
    this.parts.passwords.sessionsEnded(name);
    return oneTimePassword;
  }

  /** @throws {MezError} `USER_NOT_FOUND`, `LAST_ADMIN` */
  async delete(name: string, author: Author): Promise<void> {
    await this.parts.database.transaction(async (tx) => {
      const user = await existing(tx.em, name);
      if (user.roles.includes(ADMIN)) await this.#keepAnAdmin(tx, { ...user, roles: [] });
      await this.parts.passwords.forget(tx, name);
      await this.#forgetFormer(tx, name);
      await deleteUser(tx.em, name);
      tx.remove(USERS_COLLECTION, name);
      audit(tx, "user.deleted", user, author, { roles: user.roles });
    });
    this.parts.passwords.sessionsEnded(name);
  }

  async admit({ connector, userName, roles, claims, clientAddress }: OutsidePerson): Promise<void> {
    const isNew = await this.parts.database.transaction(async (tx) => {
      const now = this.parts.clock.now();
      const before = await findUser(tx.em, userName);
      // A directory must not decide over an account that it did not make: somebody there may be called "admin".
      if (before !== null && before.connector !== connector)
        throw new MezError("ACCESS_DENIED", `"${userName}" is an account of somebody else here; ask your administrator`, {
          detail: `${userName} of connector ${connector} wants the account of ${before.connector ?? "a local user"}`,
        });
      const common = { name: userName, roles: sorted(roles), updatedAt: now, connector };
      const traits = { internal: before?.traits.internal ?? {}, external: claims };
      const user: User = { ...common, traits, createdAt: before?.createdAt ?? now };
      if (before !== null && isSame(before, user)) return false;
      await this.parts.roles.requireAll(tx, user.roles);
      if (before === null) {
        // Sessions of a former user of the name must not be good for this one.
        await this.parts.passwords.forget(tx, userName);
        await this.#forgetFormer(tx, userName);
        await insertUser(tx.em, user);
      } else {
        if (before.roles.includes(ADMIN)) await this.#keepAnAdmin(tx, user);
        await updateUser(tx.em, user);
      }
      tx.put(USERS_COLLECTION, userName, entryOf(user));
      const who = { userName, userRoles: user.roles, clientIp: clientAddress };
      const resource = { resourceType: "user", resourceName: userName };
      const metadata = { connector, roles: user.roles, roles_before: before?.roles ?? [], traits: Object.keys(claims) };
      tx.audit({ ...who, ...resource, type: before === null ? "user.created" : "user.updated", metadata });
      return before === null;
    });
    if (isNew) this.parts.passwords.sessionsEnded(userName);
  }

  async isOf(tx: Transaction, userName: string, connector: string): Promise<boolean> {
    return (await findUser(tx.em, userName))?.connector === connector;
  }

  /**
   * Refuses a change after which nobody could administer the cluster. Transactions run one after another, so two admins
   * cannot remove each other at once.
   * @param changed As it would be then.
   */
  async #keepAnAdmin(tx: Transaction, changed: Pick<User, "name" | "roles">): Promise<void> {
    const others = (await findHolders(tx.em, ADMIN)).filter((name) => name !== changed.name).map((name) => ({ name, roles: [] }));
    const admins = changed.roles.includes(ADMIN) ? [changed, ...others] : others;
    if (admins.some(({ name, roles }) => guardRefusal(this.parts.guards, { user: name, roles }) === null)) return;
    throw new MezError(
      "LAST_ADMIN",
      others.length === 0
        ? `"${changed.name}" is the last user with role admin; give the role to another user first`
        : `every other user with role admin is locked; "${changed.name}" has to keep it`,
    );
  }

  /** Names are given again, and what was kept under one is not for the next who has it. */
  async #forgetFormer(tx: Transaction, name: string): Promise<void> {
    for (const data of this.parts.data.all()) await data.forget(tx, name);
  }

  async #prepare(name: string, password: Secret | null): ReturnType<Passwords["prepare"]> {
    if (password === null) throw new MezError("INVALID_ARGUMENT", "the password is missing");
    return this.parts.passwords.prepare(name, password);
  }
}

// --- internal ---

const ADMIN = "admin";
const MAX_ROLES = 256;

function sorted(roles: readonly string[]): readonly string[] {
  if (roles.length > MAX_ROLES) throw new MezError("INVALID_ARGUMENT", `a user can have ${MAX_ROLES} roles at most`);
  return [...new Set(roles)].sort();
}

/** Compared as they are stored. */
function isSame(before: User, after: User): boolean {
  return JSON.stringify([before.roles, before.traits]) === JSON.stringify([after.roles, after.traits]);
}

function entryOf({ roles, traits, createdAt }: User): UserEntry {
  return { roles, traits, since: createdAt.toISOString() };
}

async function existing(em: Transaction["em"], name: string): Promise<User> {
  const user = isUserName(name) ? await findUser(em, name) : null;
  if (user === null) throw new MezError("USER_NOT_FOUND", `there is no user "${printable(name)}"`);
  return user;
}

function audit(
  tx: Transaction,
  type: "user.created" | "user.updated" | "user.deleted",
  user: User,
  author: Author,
  metadata: AuditRecord["metadata"],
): void {
  tx.audit({ ...(author === null ? {} : authorOf(author)), type, resourceType: "user", resourceName: user.name, metadata });
}
