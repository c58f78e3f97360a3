import { hash, randomBytes, randomUUID, timingSafeEqual } from "node:crypto";
import { isMezError, MezError } from "../../core/errors/error.js";
import type { Collection } from "../../core/plugin/collection.js";
import type { Database, Transaction } from "../../core/plugin/database.js";
import { Secret } from "../../core/plugin/secret.js";
import type { Clock } from "../../core/time/clock.js";
import { formatDuration } from "../../core/time/duration.js";
import { DEVICES_COLLECTION, type UserEntry } from "../roles/api.js";
import type { Candidate } from "./challenge-repository.js";
import type { Challenges } from "./challenges.js";
import { type Assurance, type Device, entryOf, parseDeviceKey, parseDeviceName, printable } from "./device.js";
import { auditOf, type DeviceAuthor } from "./device-audit.js";
import { findDeviceByKey, findDevicesOf, insertDevice } from "./device-repository.js";
import { isSignedBy } from "./device-statement.js";
import { findEnrolmentToken, insertEnrolmentToken, takeEnrolmentToken } from "./enrolment-token-repository.js";
import { makeCredential } from "./tpm-credential.js";
import type { TpmEvidence, TpmTrust } from "./tpm-evidence.js";

/** What a client shows of its key. */
export interface ShownKey {
  /** SubjectPublicKeyInfo, DER, of a key in a file. */
  readonly publicKey: Buffer;
  /** Of a key in a TPM, `null` for one in a file. */
  readonly tpm: TpmEvidence | null;
}

/** What the client has to do with its key. */
export interface OpenedEnrolment {
  readonly challenge: Buffer;
  /** For a TPM: what it alone can decrypt; empty for a file. */
  readonly credential: Buffer;
  readonly credentialSecret: Buffer;
}

export interface EnrolmentProof {
  readonly challenge: Buffer;
  readonly signature: Buffer;
  readonly name: string;
  /** What the TPM decrypted; empty for a file. */
  readonly activated: Buffer;
}

export interface EnrolmentParts {
  readonly database: Database;
  readonly clock: Clock;
  readonly users: Pick<Collection<UserEntry>, "get">;
  readonly challenges: Challenges;
  readonly clusterName: string;
  /** Of the Host CA now: during a rotation several. */
  readonly hostAuthorities: () => readonly Buffer[];
  readonly selfEnrolment: boolean;
  readonly maxDevicesPerUser: number;
  readonly tpmTrust: TpmTrust;
  /** Whether a device of this kind may be enrolled. */
  readonly counts: (assurance: Assurance) => boolean;
}

/** Lets devices in: a token or the cluster's permission, a key, and the proof of having it. */
export class EnrolmentService {
  constructor(private readonly parts: EnrolmentParts) {}

  /**
   * A secret that works once.
   * @param ttlSeconds 0 for an hour.
   * @throws {MezError} `USER_NOT_FOUND`, `INVALID_ARGUMENT`
   */
  async createToken(
    userName: string,
    ttlSeconds: number,
    author: DeviceAuthor,
  ): Promise<{ readonly token: Secret; readonly expiresAt: Date }> {
    const { database, clock, users } = this.parts;
    if (users.get(userName) === undefined)
      throw new MezError("USER_NOT_FOUND", `there is no user "${printable(userName)}" to enrol a device for`);
    if (!Number.isInteger(ttlSeconds) || ttlSeconds < 0 || ttlSeconds > MAX_TOKEN_SECONDS)
      throw new MezError("INVALID_ARGUMENT", `an enrolment token lasts at most ${formatDuration(MAX_TOKEN_SECONDS)}`);
    const secret = randomBytes(32).toString("base64url");
    const createdAt = clock.now();
    const expiresAt = new Date(createdAt.getTime() + (ttlSeconds || TOKEN_SECONDS) * 1000);
    await database.transaction(async (tx) => {
      const createdBy = author.userName ?? "";
      await insertEnrolmentToken(tx.em, { hash: hashOf(secret), userName, createdBy, createdAt, expiresAt });
      const metadata = { expires_at: expiresAt.toISOString() };
      tx.audit({ ...author, type: "device.token.created", resourceType: "user", resourceName: userName, metadata });
    });
    return { token: new Secret(secret), expiresAt };
  }

  /**
   * Takes a look at the key of a device.
   * @throws {MezError} `ENROLMENT_REFUSED`, `INVALID_ARGUMENT`, `ALREADY_EXISTS`, `LIMIT_EXCEEDED`
   */
  async begin(token: string, shown: ShownKey, author: DeviceAuthor & { readonly userName: string }): Promise<OpenedEnrolment> {
    const { challenges, tpmTrust, database, counts } = this.parts;
    const { userName, clientIp: clientAddress } = author;
    const found = shown.tpm === null ? null : tpmTrust.check(shown.tpm);
    const publicKey = found === null ? shown.publicKey : found.publicKey;
    parseDeviceKey(publicKey);
    const secret = found === null ? null : randomBytes(32);
    const work = database.transaction(async (tx) => {
      const candidate: Candidate = {
        publicKey: publicKey.toString("base64"),
        assurance: found?.assurance ?? "file",
        endorsementKey: found?.endorsementKey ?? null,
        secretHash: secret === null ? null : hashOf(secret),
        tokenHash: await this.#requireToken(tx, token, userName),
      };
      if (!counts(candidate.assurance)) throw new MezError("ENROLMENT_REFUSED", WANTED[candidate.assurance]);
      await this.#requireRoom(tx, candidate, userName);
      return challenges.open(tx, { purpose: "enrolment", userName, clientAddress }, candidate);
    });
    const challenge = await this.#auditing(work, author);
    if (found === null || secret === null) return { challenge, credential: NOTHING, credentialSecret: NOTHING };
    return { challenge, ...makeCredential(found.endorsement, found.name, secret) };
  }

  /**
   * Enrols the device when it has the key.
   * @throws {MezError} `DEVICE_REFUSED`, `ENROLMENT_REFUSED`, `INVALID_ARGUMENT`, `ALREADY_EXISTS`, `LIMIT_EXCEEDED`
   */
  async finish(proof: EnrolmentProof, author: DeviceAuthor & { readonly userName: string }): Promise<Device> {
    const { database, challenges, clusterName, clock, hostAuthorities } = this.parts;
    const { userName, clientIp: clientAddress } = author;
    const name = parseDeviceName(proof.name);
    const { challenge, signature } = proof;
    const work = database.transaction(async (tx) => {
      const open = await challenges.require(tx, challenge, { purpose: "enrolment", userName, clientAddress });
      const { candidate } = open;
      if (candidate === null) throw new MezError("INTERNAL", "an enrolment without a key was begun");
      const { publicKey, assurance, endorsementKey, secretHash, tokenHash } = candidate;
      const key = parseDeviceKey(Buffer.from(publicKey, "base64"));
      const expected = { purpose: "enrolment", clusterName, userName, challenge, authorities: hostAuthorities() } as const;
      if (!isSignedBy(key, expected, signature))
        throw new MezError("DEVICE_REFUSED", "the device did not prove to this server that it has the key");
      if (secretHash !== null && !isSame(hashOf(proof.activated), secretHash))
        throw new MezError("DEVICE_REFUSED", "the key is not in the TPM that was shown");
      await challenges.take(tx, open);
      if (tokenHash !== null && !(await takeEnrolmentToken(tx.em, tokenHash))) throw badToken();
      await this.#requireRoom(tx, candidate, userName);
      if ((await findDevicesOf(tx.em, userName)).some((other) => other.name === name))
        throw new MezError("ALREADY_EXISTS", `you have a device called ${name}; choose another name with --name`);
      const device: Device = {
        ...{ id: randomUUID(), userName, name, assurance, publicKey, endorsementKey, createdAt: clock.now() },
        ...{ lastUsedAt: null, revokedAt: null, revokedBy: "" },
      };
      await insertDevice(tx.em, device);
      tx.put(DEVICES_COLLECTION, device.id, entryOf(device));
      tx.audit({ ...auditOf("device.enrolled", device, author) });
      return device;
    });
    return this.#auditing(work, author);
  }

  /** @returns Hash of the token, `null` where none is needed. */
  async #requireToken(tx: Transaction, token: string, userName: string): Promise<string | null> {
    if (token === "") {
      if (this.parts.selfEnrolment) return null;
      throw new MezError(
        "ENROLMENT_REFUSED",
        `enrolling a device takes a token of an administrator: mezctl devices add --user=${userName}`,
      );
    }
    const found = await findEnrolmentToken(tx.em, hashOf(token));
    if (found?.userName !== userName || found.expiresAt <= this.parts.clock.now()) throw badToken();
    return found.hash;
  }

  async #requireRoom(tx: Transaction, { publicKey }: Candidate, userName: string): Promise<void> {
    if ((await findDeviceByKey(tx.em, publicKey)) !== null)
      throw new MezError("ALREADY_EXISTS", "a device with this key is enrolled already");
    const { maxDevicesPerUser: most } = this.parts;
    if ((await findDevicesOf(tx.em, userName)).length >= most)
      throw new MezError("LIMIT_EXCEEDED", `${userName} has ${most} devices, which is the most; an administrator removes one`);
  }

  /** Audits a refusal; what was refused was rolled back. */
  async #auditing<T>(work: Promise<T>, author: DeviceAuthor): Promise<T> {
    return work.catch(async (error: unknown) => {
      if (isMezError(error) && error.kind === "denied")
        await this.parts.database.transaction(async (tx) => {
          tx.audit({ ...author, type: "device.enrolment.failed", success: false, errorMessage: error.message });
        });
      throw error;
    });
  }
}

// --- internal ---

const TOKEN_SECONDS = 3_600;
const MAX_TOKEN_SECONDS = 7 * 86_400;
const NOTHING = Buffer.alloc(0);
const WANTED: Readonly<Record<Assurance, string>> = {
  file: "this cluster enrols only devices whose key is in a TPM; this one would be a file",
  tpm_unverified: "this cluster enrols only devices with a TPM whose maker it knows (tpm_ca_file), and it does not know this one",
  tpm: "this cluster enrols no devices with a TPM",
};

function hashOf(secret: string | Buffer): string {
  return hash("sha256", secret, "base64url");
}

function isSame(one: string, other: string): boolean {
  return one.length === other.length && timingSafeEqual(Buffer.from(one), Buffer.from(other));
}

function badToken(): MezError {
  return new MezError("ENROLMENT_REFUSED", "the enrolment token is wrong, used, too old, or of another user");
}
