import { defineEntity, type EntityManager, p } from "@mikro-orm/core";
import type { Traits } from "../../core/plugin/caller.js";
import type { Entities } from "../../core/plugin/database.js";
import type { User } from "./api.js";

const UserRecord = defineEntity({
  name: "UserRecord",
  tableName: "users",
  properties: {
    name: p.text().primary(),
    traits: p.text(),
    createdAt: p.datetime(),
    updatedAt: p.datetime(),
    connector: p.text().nullable(),
  },
});

const UserRoleRecord = defineEntity({
  name: "UserRoleRecord",
  tableName: "user_roles",
  properties: {
    userName: p.text().primary(),
    role: p.text().primary(),
  },
});

export const USER_ENTITIES: Entities = [UserRecord, UserRoleRecord];

/** All users, sorted by name. */
export async function findUsers(em: EntityManager): Promise<readonly User[]> {
  const records = await em.find(UserRecord, {}, { orderBy: { name: "asc" } });
  const roles = new Map<string, string[]>();
  for (const { userName, role } of await em.find(UserRoleRecord, {}, { orderBy: { role: "asc" } })) {
    roles.set(userName, [...(roles.get(userName) ?? []), role]);
  }
  return records.map((record) => fromRecord(record, roles.get(record.name) ?? []));
}

/** A user with his roles in order, `null` when there is none. */
export async function findUser(em: EntityManager, name: string): Promise<User | null> {
  const record = await em.findOne(UserRecord, { name });
  if (record === null) return null;
  const roles = await em.find(UserRoleRecord, { userName: name }, { orderBy: { role: "asc" } });
  return fromRecord(
    record,
    roles.map(({ role }) => role),
  );
}

/** Tells whether there is any user at all. */
export async function hasUsers(em: EntityManager): Promise<boolean> {
  return (await em.count(UserRecord, {})) > 0;
}

/** Names of the users that hold a role, sorted. */
export async function findHolders(em: EntityManager, role: string): Promise<readonly string[]> {
  const records = await em.find(UserRoleRecord, { role }, { orderBy: { userName: "asc" } });
  return records.map(({ userName }) => userName);
}

/** Stores a new user with his roles. */
export async function insertUser(em: EntityManager, user: User): Promise<void> {
  const { name, createdAt, updatedAt, connector } = user;
  await em.insert(UserRecord, { name, traits: JSON.stringify(user.traits), createdAt, updatedAt, connector });
  await insertRoles(em, user);
}

/** Replaces a user's traits and roles. */
export async function updateUser(em: EntityManager, user: User): Promise<void> {
  await em.nativeUpdate(UserRecord, { name: user.name }, { traits: JSON.stringify(user.traits), updatedAt: user.updatedAt });
  await em.nativeDelete(UserRoleRecord, { userName: user.name });
  await insertRoles(em, user);
}

/** Deletes a user and what roles he held. */
export async function deleteUser(em: EntityManager, name: string): Promise<void> {
  await em.nativeDelete(UserRoleRecord, { userName: name });
  await em.nativeDelete(UserRecord, { name });
}

// --- internal ---

async function insertRoles(em: EntityManager, { name, roles }: User): Promise<void> {
  if (roles.length > 0)
    await em.insertMany(
      UserRoleRecord,
      roles.map((role) => ({ userName: name, role })),
    );
}

interface StoredUser {
  readonly name: string;
  readonly traits: string;
  readonly createdAt: Date;
  readonly updatedAt: Date;
  readonly connector?: string | null;
}

function fromRecord({ name, traits, createdAt, updatedAt, connector }: StoredUser, roles: readonly string[]): User {
  return { name, roles, traits: JSON.parse(traits) as Traits, createdAt, updatedAt, connector: connector ?? null };
}
