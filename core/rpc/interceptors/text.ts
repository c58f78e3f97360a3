import { MezError } from "../../errors/error.js";

/**
 * Refuses a request that has a NUL byte in any of its texts: no name, label or password has one, and databases cannot
 * hold it.
 * @throws {MezError} `INVALID_ARGUMENT`, naming the field.
 */
export function refuseNulBytes(message: unknown, field = "request"): void {
  if (typeof message === "string") {
    if (message.includes("\0")) throw new MezError("INVALID_ARGUMENT", `${field} has a NUL byte; texts cannot hold one`);
  } else if (Array.isArray(message)) {
    for (const item of message) refuseNulBytes(item, field);
  } else if (typeof message === "object" && message !== null && !ArrayBuffer.isView(message)) {
    for (const [key, value] of Object.entries(message)) {
      refuseNulBytes(key, field);
      refuseNulBytes(value, key);
    }
  }
}
