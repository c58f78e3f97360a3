import { readFileSync, statSync } from "node:fs";
import { MezError } from "../errors/error.js";
import { systemReason } from "../errors/system-reason.js";
import { Secret } from "../plugin/secret.js";

/**
 * Turns what the config file holds for a secret into a `Secret`: `env:NAME` is a variable, `file:/path` the first line of
 * a file that others cannot read, anything else the value itself (as when it came from the environment).
 * @throws {MezError} `CONFIG_INVALID`
 */
export function readSecretReference(text: string, where: string, env: Readonly<Record<string, string | undefined>>): Secret {
  if (text.startsWith("env:")) {
    const value = env[text.slice("env:".length)];
    if (value === undefined || value === "")
      throw new MezError("CONFIG_INVALID", `${where}: variable ${text.slice("env:".length)} is not set`);
    return new Secret(value);
  }
  if (!text.startsWith("file:")) return new Secret(text);
  const file = text.slice("file:".length);
  try {
    if ((statSync(file).mode & 0o077) !== 0)
      throw new MezError("CONFIG_INVALID", `${where}: ${file} can be read by others; run chmod 600 on it`);
    const value = (readFileSync(file, "utf8").split("\n")[0] ?? "").trimEnd();
    if (value === "") throw new MezError("CONFIG_INVALID", `${where}: the first line of ${file} is empty`);
    return new Secret(value);
  } catch (error) {
    if (error instanceof MezError) throw error;
    throw new MezError("CONFIG_INVALID", `${where}: cannot read ${file}: ${systemReason(error)}`, { cause: error });
  }
}

/** Replaces the values at `pointers` (JSON pointers) by secrets, in place. */
export function readSecrets(
  config: unknown,
  pointers: readonly string[],
  where: string,
  env: Readonly<Record<string, string | undefined>>,
): void {
  for (const pointer of pointers) {
    const path = pointer.split("/").slice(1);
    let place = config as Record<string, unknown> | undefined;
    for (const key of path.slice(0, -1)) place = own(place, key) as Record<string, unknown> | undefined;
    const last = path.at(-1) as string;
    const value = own(place, last);
    if (place !== undefined && typeof value === "string")
      place[last] = readSecretReference(value, `${where}.${path.join(".")}`, env);
  }
}

// --- internal ---

function own(place: Record<string, unknown> | undefined, key: string): unknown {
  return typeof place === "object" && Object.hasOwn(place, key) ? place[key] : undefined;
}
