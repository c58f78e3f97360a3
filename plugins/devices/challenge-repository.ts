import { defineEntity, type EntityManager, p } from "@mikro-orm/core";
import type { Assurance } from "./device.js";

export const ChallengeRecord = defineEntity({
  name: "DeviceChallengeRecord",
  tableName: "device_challenges",
  properties: {
    hash: p.text().primary(),
    purpose: p.text(),
    userName: p.text(),
    clientAddress: p.text(),
    publicKey: p.text().nullable(),
    assurance: p.text().nullable(),
    endorsementKey: p.text().nullable(),
    secretHash: p.text().nullable(),
    tokenHash: p.text().nullable(),
    createdAt: p.datetime(),
    expiresAt: p.datetime(),
  },
});

/** What a device was asked and has not answered yet. */
export interface StoredChallenge {
  /** SHA-256 of the challenge, base64url. */
  readonly hash: string;
  readonly purpose: "enrolment" | "login";
  readonly userName: string;
  readonly clientAddress: string;
  /** Of the device that is to be enrolled. */
  readonly candidate: Candidate | null;
  readonly createdAt: Date;
  readonly expiresAt: Date;
}

/** A device on its way in. */
export interface Candidate {
  /** SubjectPublicKeyInfo, DER, in base64. */
  readonly publicKey: string;
  readonly assurance: Assurance;
  /** SHA-256 of the TPM's endorsement key, `null` for a key in a file. */
  readonly endorsementKey: string | null;
  /** SHA-256 of what only the TPM can decrypt, `null` for a key in a file. */
  readonly secretHash: string | null;
  /** Of the enrolment token, `null` where none is needed. */
  readonly tokenHash: string | null;
}

/** Stores a challenge; the oldest of a user who has many goes. */
export async function insertChallenge(em: EntityManager, { candidate, ...challenge }: StoredChallenge): Promise<void> {
  const { userName } = challenge;
  const open = await em.find(ChallengeRecord, { userName }, { orderBy: { createdAt: "asc" }, fields: ["hash"] });
  for (const { hash } of open.slice(0, Math.max(0, open.length - MAX_CHALLENGES + 1)))
    await em.nativeDelete(ChallengeRecord, { hash });
  await em.insert(ChallengeRecord, { ...challenge, ...candidate });
}

/** A challenge by its hash, `null` when there is none; it may have expired. */
export async function findChallenge(em: EntityManager, hash: string): Promise<StoredChallenge | null> {
  const row = await em.findOne(ChallengeRecord, { hash });
  if (row === null) return null;
  const candidate: Candidate | null = row.publicKey
    ? {
        publicKey: row.publicKey,
        assurance: (row.assurance ?? "file") as Assurance,
        endorsementKey: row.endorsementKey ?? null,
        secretHash: row.secretHash ?? null,
        tokenHash: row.tokenHash ?? null,
      }
    : null;
  const { purpose, userName, clientAddress, createdAt, expiresAt } = row;
  return { hash, purpose: purpose as StoredChallenge["purpose"], userName, clientAddress, candidate, createdAt, expiresAt };
}

/** @returns Whether it was there: a challenge is answered once. */
export async function takeChallenge(em: EntityManager, hash: string): Promise<boolean> {
  return (await em.nativeDelete(ChallengeRecord, { hash })) === 1;
}

/** Deletes the challenges of a user. */
export async function deleteChallengesOf(em: EntityManager, userName: string): Promise<void> {
  await em.nativeDelete(ChallengeRecord, { userName });
}

/** @returns How many had ended by `now`. */
export async function deleteExpiredChallenges(em: EntityManager, now: Date): Promise<number> {
  return em.nativeDelete(ChallengeRecord, { expiresAt: { $lte: now } });
}

/** Tells whether `deleteExpiredChallenges` would find any. */
export async function hasExpiredChallenges(em: EntityManager, now: Date): Promise<boolean> {
  return (await em.count(ChallengeRecord, { expiresAt: { $lte: now } })) > 0;
}

// --- internal ---

/** Whoever knows a password can begin logins; their challenges do not pile up. */
const MAX_CHALLENGES = 30;
