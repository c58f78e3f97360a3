import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { RELEASE } from "../core/cli/release.js";
import type { CommandSummary } from "../core/cli/route.js";
import type { CommandNode } from "../core/plugin/commands.js";
import { LOCAL_COMMANDS_FILE } from "./foreign-commands.js";
import { writePrivateFileAt } from "./msh/private-folder.js";
import { readPrivateFile } from "./private-file.js";

/** What packages of this machine call their commands, for help and completion. */
interface Known {
  /** Of `mezctl.yaml`, which holds the hash of each package, and of the release. */
  readonly key: string;
  readonly commands: readonly { readonly name: string; readonly summary: string }[];
  /** Those that were looked into, without their code. */
  readonly trees: Readonly<Record<string, CommandNode>>;
}

/**
 * The commands that `localCommands` has, for whoever only wants to name them: what the packages that are pinned call theirs is kept in
 * `~/.mezite/packages/known.json`, so that nothing is copied, hashed or imported for it. Another `mezctl.yaml` or release makes it
 * void. Whoever calls one of them gets it from `localCommands`, which checks the package.
 * @throws {MezError} as `localCommands`
 */
export async function knownLocalCommands(meziteFolder: string): Promise<readonly CommandSummary[]> {
  const text = readPrivateFile(join(meziteFolder, LOCAL_COMMANDS_FILE));
  if (text === null) return [];
  const key = createHash("sha256").update(`${RELEASE}\n${text}`).digest("hex");
  const file = join(meziteFolder, "packages", "known.json");
  const kept = read(file, key);
  const real = async (): Promise<readonly CommandSummary[]> => {
    const { localCommands } = await import("./local-commands.js");
    const { commands, failures } = await localCommands(meziteFolder);
    const named = commands.map(({ name, summary }) => ({ name, summary }));
    if (failures.length === 0) keep(file, { key, commands: named, trees: read(file, key)?.trees ?? {} });
    return commands;
  };
  const known = kept?.commands ?? (await real());
  return known.map(({ name, summary }) => ({
    ...{ name, summary },
    load: async () => {
      const tree = read(file, key)?.trees[name];
      if (tree !== undefined) return { mezctl: [tree] };
      const found = (await real()).find((each) => each.name === name);
      const loaded = (await found?.load()) ?? {};
      const node = loaded.mezctl?.find((each) => each.name === name);
      const now = read(file, key);
      if (now !== null && node !== undefined) keep(file, { ...now, trees: { ...now.trees, [name]: node } });
      return loaded;
    },
  }));
}

// --- internal ---

function read(file: string, key: string): Known | null {
  try {
    const known = JSON.parse(readFileSync(file, "utf8")) as Known;
    return known.key === key ? known : null;
  } catch {
    return null;
  }
}

function keep(file: string, known: Known): void {
  try {
    writePrivateFileAt(file, JSON.stringify(known));
  } catch {
    // The next run asks the packages again.
  }
}
