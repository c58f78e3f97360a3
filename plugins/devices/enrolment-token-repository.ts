import { defineEntity, type EntityManager, p } from "@mikro-orm/core";

export const EnrolmentTokenRecord = defineEntity({
  name: "DeviceEnrolmentTokenRecord",
  tableName: "device_enrolment_tokens",
  properties: {
    hash: p.text().primary(),
    userName: p.text(),
    createdBy: p.text(),
    createdAt: p.datetime(),
    expiresAt: p.datetime(),
  },
});

/** What is kept of the secret with which one user enrols one device. */
export interface EnrolmentToken {
  /** SHA-256 of the secret, base64url. */
  readonly hash: string;
  readonly userName: string;
  readonly createdBy: string;
  readonly createdAt: Date;
  readonly expiresAt: Date;
}

/** Stores a new token. */
export async function insertEnrolmentToken(em: EntityManager, token: EnrolmentToken): Promise<void> {
  await em.insert(EnrolmentTokenRecord, { ...token });
}

/** A token by the hash of its secret, `null` when there is none; it may have expired. */
export async function findEnrolmentToken(em: EntityManager, hash: string): Promise<EnrolmentToken | null> {
  return em.findOne(EnrolmentTokenRecord, { hash });
}

/** @returns Whether it was there: of two who use a token at once, one finds it. */
export async function takeEnrolmentToken(em: EntityManager, hash: string): Promise<boolean> {
  return (await em.nativeDelete(EnrolmentTokenRecord, { hash })) === 1;
}

/** Deletes the tokens of a user. */
export async function deleteEnrolmentTokensOf(em: EntityManager, userName: string): Promise<void> {
  await em.nativeDelete(EnrolmentTokenRecord, { userName });
}

/** @returns How many had ended by `now`. */
export async function deleteExpiredEnrolmentTokens(em: EntityManager, now: Date): Promise<number> {
  return em.nativeDelete(EnrolmentTokenRecord, { expiresAt: { $lte: now } });
}

/** Tells whether `deleteExpiredEnrolmentTokens` would find any. */
export async function hasExpiredEnrolmentTokens(em: EntityManager, now: Date): Promise<boolean> {
  return (await em.count(EnrolmentTokenRecord, { expiresAt: { $lte: now } })) > 0;
}
