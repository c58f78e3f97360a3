import { readFileSync, statSync } from "node:fs";
import { MezError } from "../core/errors/error.js";
import { systemReason } from "../core/errors/system-reason.js";

/**
 * Reads a file that says which code runs as this person, so nobody else may have written it.
 * @returns `null` when it is not there.
 * @throws {MezError} `CONFIG_INVALID`
 */
export function readPrivateFile(file: string): string | null {
  try {
    const { uid, mode } = statSync(file);
    if ((mode & 0o022) !== 0 || (uid !== 0 && uid !== process.getuid?.()))
      throw new MezError(
        "CONFIG_INVALID",
        `${file} is another user's, or others may write it; it has to be yours, with mode 0600`,
      );
    return readFileSync(file, "utf8");
  } catch (error) {
    if (error instanceof MezError) throw error;
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw new MezError("CONFIG_INVALID", `${file} cannot be read: ${systemReason(error)}`, { cause: error });
  }
}
