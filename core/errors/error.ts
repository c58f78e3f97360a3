import { ERROR_CODES, type ErrorCode, type ErrorKind } from "./codes.js";

export interface ErrorOptions {
  readonly cause?: unknown;
  /** For the log only: what the caller must not learn, e.g. which of two secrets was wrong. */
  readonly detail?: string;
  /** Values a caller may see and act on, e.g. `{ lockId }`. */
  readonly fields?: Readonly<Record<string, string | number | boolean>>;
}

/**
 * The one error class. `message` may be shown to the caller: what was wrong, with which value, and what would be
 * right, in lower case and without a full stop. `detail` goes to the log only.
 */
export class MezError extends Error {
  readonly code: ErrorCode;
  readonly detail: string | undefined;
  readonly fields: Readonly<Record<string, string | number | boolean>>;

  constructor(code: ErrorCode, message: string, options: ErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "MezError";
    this.code = code;
    this.detail = options.detail;
    this.fields = options.fields ?? {};
  }

  get kind(): ErrorKind {
    return ERROR_CODES[this.code];
  }
}

/** Tells whether `error` is a `MezError`, with one of `codes` when any are given. */
export function isMezError(error: unknown, ...codes: readonly ErrorCode[]): error is MezError {
  return error instanceof MezError && (codes.length === 0 || codes.includes(error.code));
}

/** The message of anything that was thrown. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
