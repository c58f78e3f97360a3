import { getSystemErrorMessage } from "node:util";

/** What the operating system said, in words: `no such file or directory`. The message of anything else. */
export function systemReason(thrown: unknown): string {
  if (!(thrown instanceof Error)) return String(thrown);
  const { errno } = thrown as NodeJS.ErrnoException;
  // A host name that is not found has a positive number, or none.
  return typeof errno === "number" && errno < 0 ? getSystemErrorMessage(errno) : thrown.message;
}
