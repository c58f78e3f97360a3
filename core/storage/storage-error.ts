import {
  ConnectionException,
  ForeignKeyConstraintViolationException,
  LockWaitTimeoutException,
  ReadOnlyException,
  UniqueConstraintViolationException,
} from "@mikro-orm/core";
import { MezError, messageOf } from "../errors/error.js";

/** Tells whether the database refused a row because another one has its key. */
export function isUniqueViolation(error: unknown): boolean {
  return error instanceof UniqueConstraintViolationException;
}

/**
 * Gives errors of the database a code: `ALREADY_EXISTS` for a taken key, `CONFLICT` for a broken reference,
 * `UNAVAILABLE`, `STORAGE_FULL`, `STORAGE_UNWRITABLE`, `STORAGE_CORRUPT`. Everything else is returned as it is.
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
  if (error instanceof LockWaitTimeoutException || error instanceof ConnectionException) {
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

// --- internal ---

// SQLite's result codes and PostgreSQL's SQLSTATE classes.
const BY_CODE = [
  [/^(SQLITE_FULL|53100)$/, "STORAGE_FULL", "the disk with the database is full"],
  [/^(SQLITE_READONLY|SQLITE_CANTOPEN|SQLITE_PERM|EACCES|EROFS|25006)/, "STORAGE_UNWRITABLE", "the database cannot be written"],
  [/^(SQLITE_CORRUPT|SQLITE_NOTADB|XX001|XX002)/, "STORAGE_CORRUPT", "the database file is damaged"],
  [
    /^(SQLITE_BUSY|SQLITE_LOCKED|SQLITE_IOERR|08|57P|53300|40001|40P01|ECONN|EPIPE|ETIMEDOUT)/,
    "UNAVAILABLE",
    "the database is busy or out of reach; try again",
  ],
] as const;

function databaseCode(error: unknown): string {
  for (let current = error; current instanceof Error; current = current.cause) {
    if ("code" in current && typeof current.code === "string") return current.code;
  }
  return "";
}
