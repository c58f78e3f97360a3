import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { MezError } from "../errors/error.js";
import type { Overrides } from "./selection.js";

const FILE = "plugins.json";

/** Reads what `mezctl plugins enable | disable` said earlier. */
export function readOverrides(dataDirectory: string): Overrides {
  try {
    const stored: unknown = JSON.parse(readFileSync(join(dataDirectory, FILE), "utf8"));
    return new Map(Object.entries(stored as object).filter((entry): entry is [string, boolean] => typeof entry[1] === "boolean"));
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return new Map();
    throw new MezError("DATA_DIRECTORY_UNUSABLE", `cannot read ${join(dataDirectory, FILE)}; mend it or delete it`, { cause });
  }
}

/** Replaces the file in one step. */
export function writeOverrides(dataDirectory: string, overrides: Overrides): void {
  const file = join(dataDirectory, FILE);
  writeFileSync(`${file}.new`, `${JSON.stringify(Object.fromEntries(overrides), null, 2)}\n`, { mode: 0o600, flush: true });
  renameSync(`${file}.new`, file);
}
