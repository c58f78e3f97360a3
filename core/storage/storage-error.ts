import {
  ConnectionException,
  ForeignKeyConstraintViolationException,
  LockWaitTimeoutException,
  ReadOnlyException,
  UniqueConstraintViolationException,
} from "@mikro-orm/core";
import { isMezError, MezError, messageOf } from "../errors/error.js";
import { systemReason } from "../errors/system-reason.js";

/** Tells whether the database refused a row because another one has its key. */
export function isUniqueViolation(error: unknown): boolean {
  return error instanceof UniqueConstraintViolationException;
}

/** Tells whether the database could not be reached, or took too long. */
export function isUnavailable(error: unknown): boolean {
  return isMezError(toStorageError(error), "UNAVAILABLE");
}

/**
 * Gives errors of the database a code: `ALREADY_EXISTS` for a taken key, `CONFLICT` for a broken reference,
 * `UNAVAILABLE`, `STORAGE_FULL`, `STORAGE_LOGIN_REFUSED`, `STORAGE_UNWRITABLE`, `STORAGE_CORRUPT`. Everything else is returned as it is.
 */
export function toStorageError(error: unknown): unknown {
  if (error instanceof MezError) return error;
  if (isUniqueViolation(error))
    return new MezError("ALREADY_EXISTS", "it exists already", { cause: error, detail: messageOf(error) });
  if (error instanceof ForeignKeyConstraintViolationException) {
    return new MezError("CONFLICT", "something else refers to it, or what it refers to is gone", {
      cause: error,
      detail: messageOf(error),
    });
  }
  const word = databaseCode(error);
  for (const [pattern, code, message] of BY_CODE) {
    if (pattern.test(word)) return new MezError(code, message, { cause: error, detail: messageOf(error) });
  }
  const refused = LOGIN_REFUSED.exec(word);
  if (refused !== null) {
    return new MezError("STORAGE_LOGIN_REFUSED", `the database refused the login: ${innermost(error)}`, { cause: error });
  }
  if (isLostConnection(error) || error instanceof LockWaitTimeoutException || error instanceof ConnectionException) {
    return new MezError("UNAVAILABLE", "the database is busy or out of reach; try again", {
      cause: error,
      detail: messageOf(error),
    });
  }
  if (error instanceof ReadOnlyException) {
    return new MezError("STORAGE_UNWRITABLE", "the database cannot be written", { cause: error, detail: messageOf(error) });
  }
  return error;
}

/** The same while a database is opened: says why it is out of reach, and where it was looked for. */
export function openingError(error: unknown, place = "the database"): unknown {
  const known = toStorageError(error);
  if (known === error || !isMezError(known, "UNAVAILABLE")) return known;
  return new MezError("UNAVAILABLE", `cannot reach ${place}: ${innermost(error)}`, { cause: error });
}

/** Tells whether a connection broke or could not be made, so that what was asked on it has no answer. */
export function isLostConnection(error: unknown): boolean {
  for (let current = error; current instanceof Error; current = current.cause) if (LOST.test(current.message)) return true;
  return LOST_CODE.test(databaseCode(error));
}

// --- internal ---

// SQLite's result codes and PostgreSQL's SQLSTATE classes.
const BY_CODE = [
  [/^(SQLITE_FULL|53100)$/, "STORAGE_FULL", "the disk with the database is full"],
  [/^(SQLITE_READONLY|SQLITE_CANTOPEN|SQLITE_PERM|EACCES|EROFS)/, "STORAGE_UNWRITABLE", "the database cannot be written"],
  [/^(SQLITE_CORRUPT|SQLITE_NOTADB|XX001|XX002)/, "STORAGE_CORRUPT", "the database file is damaged"],
  [
    // Among PostgreSQL's: 08 connection, 25006 a standby, 25P03 idle in a transaction, 40 serialisation and deadlock, 53300 too
    // many connections, 55P03 lock timeout, 57 shutdown and statement timeout.
    /^(SQLITE_BUSY|SQLITE_LOCKED|SQLITE_IOERR|08|25006|25P03|40001|40P01|53300|55P03|57|ECONN|EPIPE|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|EAI_AGAIN)/,
    "UNAVAILABLE",
    "the database is busy or out of reach; try again",
  ],
] as const;

// SQLSTATE classes 28 (wrong user or password), 3D000 (no such database); Node's names for certificates that are not trusted.
const LOGIN_REFUSED = /^(28|3D000|CERT_|ERR_TLS_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_)/;

// What `pg` says when a connection is gone, without a code.
const LOST =
  /^(Connection terminated|timeout exceeded when trying to connect|timeout expired|Client has encountered a connection error|Query read timeout|Client was closed)/;

const LOST_CODE = /^(08|25006|57P|53300|ECONN|EPIPE|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|EAI_AGAIN)/;

function innermost(error: unknown): string {
  let current = error;
  while (current instanceof Error && current.cause instanceof Error) current = current.cause;
  // Node's error for a name with several addresses has nothing but a code.
  return systemReason(current) || databaseCode(current);
}

function databaseCode(error: unknown): string {
  for (let current = error; current instanceof Error; current = current.cause) {
    if ("code" in current && typeof current.code === "string") return current.code;
  }
  return "";
}
