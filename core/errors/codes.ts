/**
 * What kind of failure a code stands for. A kind decides the gRPC status (`core/rpc/status.ts`) and the process
 * exit code (`core/cli/exit-codes.ts`), so a code never has to name either.
 */
export type ErrorKind =
  | "usage" //            the caller's words are wrong: an unknown flag, a bad duration, a malformed role
  | "unauthenticated" //  we do not know who is asking
  | "denied" //           we know, and the answer is no
  | "not-found"
  | "already-exists"
  | "conflict" //         the state of the thing forbids it now: token used, last admin, plugin required by another
  | "limit" //            too many attempts, too much data
  | "unavailable" //      a peer or backend is out of reach; trying again may work
  | "timeout"
  | "corrupt" //          stored or received data fails its check
  | "environment" //      this machine: port in use, folder not writable, disk full
  | "internal";

/** The closed list of error codes. Tests and callers look at these, never at messages. Kept in alphabetical order. */
export const ERROR_CODES = {
  ACCESS_DENIED: "denied",
  INTERNAL: "internal",
  INVALID_ARGUMENT: "usage",
  INVALID_DURATION: "usage",
  NOT_FOUND: "not-found",
  UNAUTHENTICATED: "unauthenticated",
  UNAVAILABLE: "unavailable",
} as const satisfies Record<string, ErrorKind>;

export type ErrorCode = keyof typeof ERROR_CODES;

/** Tells whether a word received from outside is one of our codes. */
export function isErrorCode(word: string): word is ErrorCode {
  return Object.hasOwn(ERROR_CODES, word);
}
