import { defineEntity, type EntityManager, p } from "@mikro-orm/core";
import type { Entities } from "../../core/plugin/database.js";
import type { AgentIdentity, IdentityToken, Instance } from "./agent-identity.js";

const IdentityRecord = defineEntity({
  name: "AgentIdentityRecord",
  tableName: "agent_identities",
  properties: { name: p.text().primary(), roles: p.text(), createdBy: p.text(), createdAt: p.datetime() },
});

const TokenRecord = defineEntity({
  name: "AgentIdentityTokenRecord",
  tableName: "agent_identity_tokens",
  properties: { tokenId: p.text().primary(), identity: p.text(), instanceId: p.text().nullable() },
});

const InstanceRecord = defineEntity({
  name: "AgentIdentityInstanceRecord",
  tableName: "agent_identity_instances",
  properties: {
    id: p.text().primary(),
    identity: p.text(),
    generation: p.integer(),
    seenGeneration: p.integer(),
    keysHash: p.text(),
    answer: p.text(),
    certificateSerial: p.text(),
    certificateExpiresAt: p.datetime(),
    createdAt: p.datetime(),
    lastSeen: p.datetime(),
    address: p.text(),
    lockReason: p.text(),
  },
});

export const AGENT_IDENTITY_ENTITIES: Entities = [IdentityRecord, TokenRecord, InstanceRecord];

/** Sorted by name. */
export async function findIdentities(em: EntityManager): Promise<readonly AgentIdentity[]> {
  return (await em.find(IdentityRecord, {}, { orderBy: { name: "asc" } })).map(identityOf);
}

/** An identity by its name, `null` when there is none. */
export async function findIdentity(em: EntityManager, name: string): Promise<AgentIdentity | null> {
  const record = await em.findOne(IdentityRecord, { name });
  return record === null ? null : identityOf(record);
}

/** Stores a new identity. */
export async function insertIdentity(em: EntityManager, identity: AgentIdentity): Promise<void> {
  await em.insert(IdentityRecord, { ...identity, roles: JSON.stringify(identity.roles) });
}

/** Deletes an identity with its instances and what it knows of tokens. */
export async function deleteIdentity(em: EntityManager, name: string): Promise<void> {
  await em.nativeDelete(InstanceRecord, { identity: name });
  await em.nativeDelete(TokenRecord, { identity: name });
  await em.nativeDelete(IdentityRecord, { name });
}

/** Oldest first. */
export async function findInstances(em: EntityManager, identity?: string): Promise<readonly Instance[]> {
  const records = await em.find(InstanceRecord, identity === undefined ? {} : { identity }, {
    orderBy: { createdAt: "asc", id: "asc" },
  });
  return records.map(instanceOf);
}

/** An instance by its id, `null` when there is none. */
export async function findInstance(em: EntityManager, id: string): Promise<Instance | null> {
  const record = await em.findOne(InstanceRecord, { id });
  return record === null ? null : instanceOf(record);
}

/** Stores a new instance. */
export async function insertInstance(em: EntityManager, instance: Instance): Promise<void> {
  await em.insert(InstanceRecord, { ...instance });
}

/** Replaces what is stored of an instance. */
export async function updateInstance(em: EntityManager, { id, ...change }: Instance): Promise<void> {
  await em.nativeUpdate(InstanceRecord, { id }, change);
}

/** Instances whose last certificate expired before a time. */
export async function findExpiredInstances(em: EntityManager, before: Date): Promise<readonly Instance[]> {
  return (await em.find(InstanceRecord, { certificateExpiresAt: { $lt: before } })).map(instanceOf);
}

/** Deletes an instance with the token that made it. */
export async function deleteInstance(em: EntityManager, id: string): Promise<void> {
  await em.nativeDelete(InstanceRecord, { id });
  await em.nativeDelete(TokenRecord, { instanceId: id });
}

/** Stores a new join token of an identity. */
export async function insertToken(em: EntityManager, token: IdentityToken): Promise<void> {
  await em.insert(TokenRecord, { ...token });
}

/** The join tokens of one identity, or of all. */
export async function findTokens(em: EntityManager, identity?: string): Promise<readonly IdentityToken[]> {
  return (await em.find(TokenRecord, identity === undefined ? {} : { identity })).map(tokenOf);
}

/** A join token by its id, `null` when there is none. */
export async function findToken(em: EntityManager, tokenId: string): Promise<IdentityToken | null> {
  const record = await em.findOne(TokenRecord, { tokenId });
  return record === null ? null : tokenOf(record);
}

/** Notes which instance joined with a token; it admits nobody else. */
export async function markTokenUsed(em: EntityManager, tokenId: string, instanceId: string): Promise<void> {
  await em.nativeUpdate(TokenRecord, { tokenId }, { instanceId });
}

// --- internal ---

function identityOf(record: { name: string; roles: string; createdBy: string; createdAt: Date }): AgentIdentity {
  const { name, roles, createdBy, createdAt } = record;
  return { name, roles: JSON.parse(roles) as string[], createdBy, createdAt };
}

// Plain objects, because a record of the ORM carries more than its columns.
function instanceOf(record: Instance): Instance {
  const { id, identity, generation, seenGeneration, keysHash, answer, certificateSerial } = record;
  const { certificateExpiresAt, createdAt, lastSeen, address, lockReason } = record;
  return {
    ...{ id, identity, generation, seenGeneration, keysHash, answer, certificateSerial },
    ...{ certificateExpiresAt, createdAt, lastSeen, address, lockReason },
  };
}

function tokenOf(record: { tokenId: string; identity: string; instanceId?: string | null }): IdentityToken {
  return { tokenId: record.tokenId, identity: record.identity, instanceId: record.instanceId ?? null };
}
