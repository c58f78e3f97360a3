import { MezError } from "../../core/errors/error.js";
import { MACHINE_PREFIX, type MachineInstanceEntry, type UserEntry } from "../roles/api.js";

/** A kind of machine, with roles of its own. */
export interface AgentIdentity {
  readonly name: string;
  readonly roles: readonly string[];
  readonly createdBy: string;
  readonly createdAt: Date;
}

/** One machine that was bootstrapped with a token, and its newest certificates. */
export interface Instance {
  /** UUID. */
  readonly id: string;
  readonly identity: string;
  /** Of the newest certificates that were issued; the first are 1. */
  readonly generation: number;
  /** Of the newest certificates that the machine has used; those before are refused. */
  readonly seenGeneration: number;
  /** SHA-256 of the public keys that the newest certificates are for, base64. */
  readonly keysHash: string;
  /** The newest certificates as they were answered, for the case that the answer was lost. */
  readonly answer: string;
  readonly certificateSerial: string;
  readonly certificateExpiresAt: Date;
  readonly createdAt: Date;
  readonly lastSeen: Date;
  /** Where the machine was seen last. */
  readonly address: string;
  /** Why it is locked, where no plugin keeps locks; empty when it is not. */
  readonly lockReason: string;
}

/** What a token is for. */
export interface IdentityToken {
  readonly tokenId: string;
  readonly identity: string;
  /** The instance that it made, `null` until then. */
  readonly instanceId: string | null;
}

/** @throws {MezError} `INVALID_ARGUMENT` */
export function checkIdentityName(name: string): void {
  if (isIdentityName(name)) return;
  throw new MezError(
    "INVALID_ARGUMENT",
    `agent identity name "${printable(name)}" is not valid; use up to 54 of a-z, 0-9, ".", "_" and "-", beginning and ending with a letter or digit`,
  );
}

/** Tells whether an identity could have this name. Asked before a name from outside reaches the database. */
export function isIdentityName(name: string): boolean {
  return /^[a-z0-9]([a-z0-9._-]{0,52}[a-z0-9])?$/.test(name);
}

/** The name in certificates, sessions and the audit log: `identity/github-deploy`. */
export function machineNameOf(identity: string): string {
  return `${MACHINE_PREFIX}${identity}`;
}

/** Names an instance in its X.509 certificate. */
export function instanceUri(clusterName: string, identity: string, instanceId: string): string {
  return `mezite://${clusterName}/identity/${identity}/${instanceId}`;
}

/** What proxies and nodes know of an identity. */
export function machineEntryOf({ roles }: AgentIdentity): UserEntry {
  return { roles, traits: { internal: {}, external: {} } };
}

/** What proxies and nodes know of an instance. */
export function instanceEntryOf({ identity, seenGeneration, lockReason }: Instance): MachineInstanceEntry {
  return { machine: machineNameOf(identity), generation: seenGeneration, lockReason };
}

/** A word from outside as it may stand in a message. */
export function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, "?").slice(0, 64);
}
