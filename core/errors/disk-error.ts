import { MezError } from "./error.js";
import { systemReason } from "./system-reason.js";

/**
 * Gives a failed write a code: `STORAGE_FULL` for a full disk or quota, else `STORAGE_UNWRITABLE`.
 * @param what What could not be written, e.g. `the recording`.
 */
export function toDiskError(error: unknown, what: string): MezError {
  if (error instanceof MezError) return error;
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  if (FULL.has(code)) return new MezError("STORAGE_FULL", `${what} cannot be written: the disk is full`, { cause: error });
  return new MezError("STORAGE_UNWRITABLE", `${what} cannot be written: ${systemReason(error)}`, { cause: error });
}

// --- internal ---

const FULL = new Set(["ENOSPC", "EDQUOT", "EFBIG"]);
