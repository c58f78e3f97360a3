import { readFileSync } from "node:fs";
import { MezError } from "../errors/error.js";
import { systemReason } from "../errors/system-reason.js";

export const DEFAULT_CONFIG_FILE = "/etc/mezite/mezite.yaml";

/**
 * The text of the config file.
 * @returns `null` for a file that may be absent and is.
 * @throws {MezError} `CONFIG_INVALID`
 */
export function readConfigFile(file: string, mayBeAbsent: boolean): string | null {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (mayBeAbsent && code === "ENOENT") return null;
    throw new MezError("CONFIG_INVALID", `cannot read config file ${file}: ${systemReason(error)}`, { cause: error });
  }
}
