import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { PACKAGE_ROOT, RELEASE } from "../core/cli/release.js";
import { loadConfig } from "../core/config/load.js";
import { type PackageSettings, readPackageSettings } from "../core/config/package-requests.js";
import type { LaidValue } from "../core/config/value-origin.js";
import { MezError } from "../core/errors/error.js";
import { systemReason } from "../core/errors/system-reason.js";
import { type CatalogEntry, makeCatalog } from "../core/host/catalog.js";
import type { HostSettings } from "../core/host/host-settings.js";
import { type PackageLeniency, STRICT } from "../core/host/package-leniency.js";
import { type PluginDecisions, readDecisions } from "../core/host/plugin-decisions.js";
import { Packages, type WantedPackage } from "../core/packages/packages.js";
import type { CommandContext } from "../core/plugin/commands.js";
import type { ProcessRole } from "../core/plugin/contract.js";
import type { Manifest } from "../core/plugin/manifest.js";
import type { PackageIdentity } from "../core/plugin/plugin-host.js";
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

/** Reads the settings of a daemon, as often as it is told to; packages that it has loaded stay in memory between. */
export class SettingsReader {
  #packages: Packages | null = null;
  #entries: readonly CatalogEntry[] = [];

  constructor(
    private readonly context: CommandContext,
    private readonly input: DaemonInput,
    /** Where copies of packages go; `null` for the data directory. */
    private readonly store: string | null = null,
  ) {}

  /**
   * @param decisions `null` reads those of the data directory.
   * @param leniency For the packages that commands added.
   * @throws {MezError} `CONFIG_INVALID`, `INVALID_DOCUMENT`, and what is wrong with a package
   */
  async read(decisions: PluginDecisions | null = null, leniency: PackageLeniency = STRICT): Promise<HostSettings> {
    const file = (this.context.globals.config as string | undefined) ?? null;
    const { env } = this.context;
    const laid = laidBy(this.input);
    const settings = await readPackageSettings(file, env, laid);
    const { added, overrides } = decisions ?? readDecisions(settings.dataDirectory);
    const packages = this.#packagesOf(settings);
    await refuseUnpinned(settings, packages);
    const wanted = wantedPackages(settings, { added, overrides });
    const { entries, absent } = await packages.openWith(leniency, wanted, settings.pluginsDirectory);
    const catalog = makeCatalog(
      [...BUILTIN_PLUGINS, ...entries],
      RELEASE,
      pathToFileURL(join(PACKAGE_ROOT, "plugin.schema.json")),
    );
    const manifests = [...catalog.values()].map(({ manifest }) => manifest);
    const config = await loadConfig(
      file,
      manifests,
      env,
      [...laid, ...laidByAdded(settings, added)],
      new Set(wanted.map(({ id }) => id)),
    );
    return {
      catalog,
      config,
      absent,
      adopted: () => {
        this.#entries = entries;
        packages.release(entries);
      },
    };
  }

  /** Looks at a package in `plugins_dir`. @throws {MezError} as `Packages.identify` */
  async identify(from: string): Promise<PackageIdentity> {
    const file = (this.context.globals.config as string | undefined) ?? null;
    const settings = await readPackageSettings(file, this.context.env, laidBy(this.input));
    return this.#packagesOf(settings).identify(from, settings.pluginsDirectory);
  }

  /** Deletes copies of packages that are no longer used; for a process that has just started. */
  async prune(): Promise<void> {
    await this.#packages?.prune(this.#entries);
  }

  #packagesOf({ dataDirectory }: PackageSettings): Packages {
    this.#packages ??= new Packages(this.store ?? join(dataDirectory, "plugins"), BUILTIN_IDS);
    return this.#packages;
  }
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

// --- internal ---

const BUILTIN_IDS: ReadonlySet<string> = new Set(BUILTIN_PLUGINS.map(({ manifest }) => (manifest as Manifest).id));

function laidBy({ dataDir, authServer, laid }: DaemonInput): readonly LaidValue[] {
  return [
    { path: ["data_dir"], value: dataDir === undefined ? undefined : resolve(dataDir), flag: "--data-dir" },
    { path: ["auth", "addresses"], value: authServer, flag: "--auth-server" },
    ...(laid ?? []),
  ];
}

/** A package is run only when somebody has said which one it is. */
async function refuseUnpinned({ requests, pluginsDirectory }: PackageSettings, packages: Packages): Promise<void> {
  for (const { id, from, integrity, problem } of requests) {
    if (integrity !== null) continue;
    const found = await packages.integrityOf(from, pluginsDirectory);
    throw problem(`plugins.${id} has no integrity; that of the package which is there is ${found}`);
  }
}

/** What the config file names comes before what a command added under the same id. */
function wantedPackages({ requests }: PackageSettings, { added, overrides }: PluginDecisions): readonly WantedPackage[] {
  const named = new Set(requests.map(({ id }) => id));
  return [
    ...requests.map(({ problem: _problem, integrity, ...rest }) => ({
      ...rest,
      integrity: integrity ?? "",
      addedBy: "config" as const,
    })),
    ...[...added].flatMap(([id, entry]) =>
      named.has(id) ? [] : [{ ...entry, id, addedBy: "command" as const, isOff: overrides.get(id) === false }],
    ),
  ];
}

function laidByAdded({ requests, configured }: PackageSettings, added: PluginDecisions["added"]): readonly LaidValue[] {
  const named = new Set(requests.map(({ id }) => id));
  return [...added].flatMap(([id, { from, config }]): LaidValue[] => {
    if (named.has(id)) return [];
    const flag = `mezctl plugins add ${from}`;
    return [
      { path: ["plugins", id, "from"], value: from, flag },
      { path: ["plugins", id, "config"], value: configured.has(id) ? undefined : structuredClone(config), flag },
    ];
  });
}
