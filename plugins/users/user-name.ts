import { MezError } from "../../core/errors/error.js";

/**
 * Checks a name for a new user: lower case, as it stands in certificates, logs and on command lines.
 * @throws {MezError} `INVALID_ARGUMENT`
 */
export function checkUserName(name: string): void {
  if (isUserName(name)) return;
  throw new MezError(
    "INVALID_ARGUMENT",
    `user name "${printable(name)}" is not valid; use up to 64 of a-z, 0-9, ".", "_", "@" and "-", beginning with a letter or digit`,
  );
}

/** Tells whether a user could have this name. Asked before a name from outside reaches the database. */
export function isUserName(name: string): boolean {
  return USER_NAME.test(name);
}

/** A word from outside as it may stand in a message. */
export function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, "?").slice(0, 64);
}

// --- internal ---

const USER_NAME = /^[a-z0-9][a-z0-9._@-]{0,63}$/;
