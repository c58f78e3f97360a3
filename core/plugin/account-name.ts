import { userInfo } from "node:os";
import { MezError } from "../errors/error.js";

/** Name of the account that this process runs as; `null` for a number without a name, as in many containers. */
export function accountName(): string | null {
  try {
    return userInfo().username;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ERR_SYSTEM_ERROR") return null;
    throw error;
  }
}

/**
 * The same, where there is no going on without.
 * @param flag What can be given instead.
 * @throws {MezError} `INVALID_ARGUMENT`
 */
export function requireAccountName(flag?: string): string {
  const name = accountName();
  if (name !== null) return name;
  const instead = flag === undefined ? "run it as one that has" : `give ${flag}`;
  throw new MezError("INVALID_ARGUMENT", `user ${process.getuid?.()} of this machine has no name; ${instead}`);
}
