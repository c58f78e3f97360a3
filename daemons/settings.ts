import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { PACKAGE_ROOT, RELEASE } from "../core/cli/release.js";
import type { Config } from "../core/config/config.js";
import { loadConfig } from "../core/config/load.js";
import type { LaidValue } from "../core/config/value-origin.js";
import { MezError } from "../core/errors/error.js";
import { systemReason } from "../core/errors/system-reason.js";
import { type Catalog, makeCatalog } from "../core/host/catalog.js";
import type { CommandContext } from "../core/plugin/commands.js";
import type { ProcessRole } from "../core/plugin/contract.js";
import { Secret } from "../core/plugin/secret.js";
import { BUILTIN_PLUGINS } from "../plugins/builtin.js";

/** What the command line adds to the config file. */
export interface DaemonInput {
  /** `null` takes the roles that the file switches on. */
  readonly roles: readonly ProcessRole[] | null;
  readonly authServer?: readonly string[];
  readonly token?: Secret;
  readonly tokenFile?: string;
  readonly dataDir?: string;
  /** More values of flags; they win over the file. */
  readonly laid?: readonly LaidValue[];
}

/** The plugins of this build, their manifests checked. */
export function builtinCatalog(): Catalog {
  return makeCatalog(BUILTIN_PLUGINS, RELEASE, pathToFileURL(join(PACKAGE_ROOT, "plugin.schema.json")));
}

/** @throws {MezError} `CONFIG_INVALID`, `INVALID_DOCUMENT` */
export async function readSettings(context: CommandContext, catalog: Catalog, input: DaemonInput): Promise<Config> {
  const file = (context.globals.config as string | undefined) ?? null;
  const dataDirectory = input.dataDir === undefined ? undefined : resolve(input.dataDir);
  const laid: readonly LaidValue[] = [
    { path: ["data_dir"], value: dataDirectory, flag: "--data-dir" },
    { path: ["auth", "addresses"], value: input.authServer, flag: "--auth-server" },
    ...(input.laid ?? []),
  ];
  return loadConfig(
    file,
    [...catalog.values()].map(({ manifest }) => manifest),
    context.env,
    laid,
  );
}

/** The join token of `--token` (or MEZITE_JOIN_TOKEN) or the first line of `--token-file`. */
export function readJoinToken({ token, tokenFile }: DaemonInput): Secret | null {
  if (token !== undefined && tokenFile !== undefined)
    throw new MezError("INVALID_ARGUMENT", "--token and --token-file are both given; use one");
  if (tokenFile === undefined) return token ?? null;
  try {
    return new Secret((readFileSync(tokenFile, "utf8").split("\n")[0] ?? "").trim());
  } catch (cause) {
    throw new MezError("INVALID_ARGUMENT", `cannot read token file ${tokenFile}: ${systemReason(cause)}`, { cause });
  }
}
