import { MezError } from "../../core/errors/error.js";
import type { GuardSubject } from "../../core/ports/guard.js";
import { formatDuration } from "../../core/time/duration.js";
import type { Lock, LockEntry, LockTarget, LockTargetType, NewLock } from "./api.js";

/** How each kind of target is called in a sentence. */
const TARGET_WORDS: Readonly<Record<LockTargetType, string>> = {
  user: "user",
  role: "role",
  agent: "agent",
  agent_identity: "agent identity",
  agent_identity_instance: "instance of an agent identity",
  device: "device",
};

export const LOCK_TARGET_TYPES = Object.keys(TARGET_WORDS) as readonly LockTargetType[];

/** @throws {MezError} `INVALID_ARGUMENT` saying what would be right */
export function parseLockTarget(type: string, name: string): LockTarget {
  const known = LOCK_TARGET_TYPES.find((candidate) => candidate === type);
  if (known === undefined)
    throw new MezError(
      "INVALID_ARGUMENT",
      type === ""
        ? `a lock needs a target; use one of ${LOCK_TARGET_TYPES.join(", ")}`
        : `lock target type "${printable(type)}" is unknown; use one of ${LOCK_TARGET_TYPES.join(", ")}`,
    );
  if (!TARGET_NAME.test(name))
    throw new MezError(
      "INVALID_ARGUMENT",
      `${TARGET_WORDS[known]} "${printable(name)}" cannot be locked; a name has 1 to ${MAX_NAME_CHARACTERS} characters and no spaces`,
    );
  return { type: known, name };
}

/**
 * Checks the words and the life of a new lock.
 * @param ttlSeconds 0 for a lock that holds until it is deleted.
 * @throws {MezError} `INVALID_ARGUMENT`
 */
export function planLock(target: LockTarget, message: string, ttlSeconds: number): NewLock {
  if (!Number.isInteger(ttlSeconds) || ttlSeconds < 0 || ttlSeconds > MAX_TTL_SECONDS)
    throw new MezError(
      "INVALID_ARGUMENT",
      `a lock cannot last ${ttlSeconds} seconds; use up to ${formatDuration(MAX_TTL_SECONDS)}, or none for a lock without end`,
    );
  const text = message.trim();
  if (text.length > MAX_MESSAGE_CHARACTERS || /\p{Cc}/u.test(text))
    throw new MezError("INVALID_ARGUMENT", `the message of a lock is one line of at most ${MAX_MESSAGE_CHARACTERS} characters`);
  return { target, message: text, ttlSeconds: ttlSeconds === 0 ? null : ttlSeconds };
}

/** Whether a lock no longer means anything. */
export function isExpired({ expiresAt }: { readonly expiresAt: Date | string | null }, now: Date): boolean {
  return expiresAt !== null && new Date(expiresAt) <= now;
}

/** Everything that the subject is, as targets that a lock could name. */
export function targetsOf({ user, roles = [], agent, agentIdentity, instance, device }: GuardSubject): readonly LockTarget[] {
  const named: readonly (readonly [LockTargetType, string | undefined])[] = [
    ["user", user],
    ...roles.map((role) => ["role", role] as const),
    ["agent", agent],
    ["agent_identity", agentIdentity],
    ["agent_identity_instance", instance],
    ["device", device],
  ];
  return named.flatMap(([type, name]) => (name === undefined || name === "" ? [] : [{ type, name }]));
}

/** One word for a target, to look it up by. */
export function targetKey({ type, name }: LockTarget): string {
  return `${type}:${name}`;
}

/** One line for whoever is locked out: `user alice is locked: Security review`. */
export function sentenceFor({ target, message }: Pick<LockEntry, "target" | "message">): string {
  return `${nameOf(target)} is locked${message === "" ? " by an administrator" : `: ${message}`}`;
}

/** A target in a sentence: `agent identity ci-bot`. */
export function nameOf({ type, name }: LockTarget): string {
  return `${TARGET_WORDS[type]} ${name}`;
}

/** What is published of a lock. */
export function entryOf({ target, message, expiresAt }: Lock): LockEntry {
  return { target, message, expiresAt: expiresAt?.toISOString() ?? null };
}

// --- internal ---

const MAX_NAME_CHARACTERS = 128;
const TARGET_NAME = new RegExp(`^[^\\s\\p{Cc}]{1,${MAX_NAME_CHARACTERS}}$`, "u");
const MAX_MESSAGE_CHARACTERS = 256;
const MAX_TTL_SECONDS = 3_650 * 86_400;

function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, "?").slice(0, 64);
}
