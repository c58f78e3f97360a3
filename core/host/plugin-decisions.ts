import { closeSync, existsSync, fsyncSync, openSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { toDiskError } from "../errors/disk-error.js";
import { MezError } from "../errors/error.js";
import { systemReason } from "../errors/system-reason.js";
import type { Catalog } from "./catalog.js";
import { keepsOut } from "./ports.js";
import type { Overrides } from "./selection.js";

const FILE = "plugins.json";

/** A plugin that a command added. */
export interface AddedPackage {
  readonly from: string;
  readonly integrity: string;
  readonly isolation?: "none" | "process";
  readonly memoryMib?: number;
  /** Its config as it was given: secrets are references. The config file's wins. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** Ids of the ports that its manifest says it fills; absent in what releases decided that did not note them. */
  readonly ports?: readonly string[];
}

/** What commands said of the plugins of this process. Kept in the data directory; auth servers that share a database keep it there too. */
export interface PluginDecisions {
  /** `mezctl plugins enable | disable` */
  readonly overrides: Overrides;
  /** `mezctl plugins add`, by id. */
  readonly added: ReadonlyMap<string, AddedPackage>;
}

export const NO_DECISIONS: PluginDecisions = { overrides: new Map(), added: new Map() };

/** @throws {MezError} `DATA_DIRECTORY_UNUSABLE` */
export function readDecisions(dataDirectory: string): PluginDecisions {
  const file = join(dataDirectory, FILE);
  try {
    return parseDecisions(JSON.parse(readFileSync(file, "utf8")));
  } catch (cause) {
    // That the data directory is none says whoever opens it.
    if (["ENOENT", "ENOTDIR"].includes((cause as NodeJS.ErrnoException).code ?? "")) return NO_DECISIONS;
    throw new MezError("DATA_DIRECTORY_UNUSABLE", `cannot read ${file}: ${systemReason(cause)}; mend it or delete it`, { cause });
  }
}

/** Whether there is anything to read, be it that nothing was said. */
export function hasDecisions(dataDirectory: string): boolean {
  return existsSync(join(dataDirectory, FILE));
}

/**
 * Replaces the file in one step, which outlives a crash of the machine. A failure leaves the file as it was.
 * @throws {MezError} `STORAGE_FULL`, `STORAGE_UNWRITABLE`
 */
export function writeDecisions(dataDirectory: string, decisions: PluginDecisions): void {
  const file = join(dataDirectory, FILE);
  try {
    writeFileSync(`${file}.new`, `${JSON.stringify(storedForm(decisions), null, 2)}\n`, { mode: 0o600, flush: true });
    renameSync(`${file}.new`, file);
  } catch (error) {
    discard(`${file}.new`);
    throw toDiskError(error, file);
  }
  flushFolder(dataDirectory);
}

/** `{ "<id>": true | false }` for a switch, `{ "<id>": { "from": …, "integrity": …, "enabled": … } }` for an added package. */
export function storedForm({ overrides, added }: PluginDecisions): Readonly<Record<string, unknown>> {
  const stored: Record<string, unknown> = Object.fromEntries(overrides);
  for (const [id, entry] of added) stored[id] = { ...entry, enabled: overrides.get(id) };
  return stored;
}

/** Reads what `storedForm` made. @throws {MezError} `INVALID_DOCUMENT` for anything else, naming the entry */
export function parseDecisions(stored: unknown): PluginDecisions {
  if (!isTable(stored)) throw invalid("it is no table of plugins");
  const overrides = new Map<string, boolean>();
  const added = new Map<string, AddedPackage>();
  for (const [id, value] of Object.entries(stored)) {
    if (typeof value === "boolean") overrides.set(id, value);
    else {
      const { enabled, ...entry } = parseAdded(id, value);
      added.set(id, entry);
      overrides.set(id, enabled);
    }
  }
  return { overrides, added };
}

/** The same with the ports of packages that were decided on before ports were noted. */
export function withPorts(decisions: PluginDecisions, catalog: Catalog): PluginDecisions {
  const entries = [...decisions.added].map(([id, entry]): readonly [string, AddedPackage] => {
    const { manifest, package: origin } = catalog.get(id) ?? {};
    if (entry.ports !== undefined || manifest === undefined || origin?.integrity !== entry.integrity) return [id, entry];
    return [id, { ...entry, ports: [...new Set(manifest.implements?.map(({ port }) => port))].sort() }];
  });
  return { overrides: decisions.overrides, added: new Map(entries) };
}

/** What an operator writes who wants to start without an added plugin that keeps people out. */
export function outOfDecisions(id: string): string {
  return `write "${id}": false in the place of its entry in ${FILE} of the data directory`;
}

/** Whether an operator has written that. */
export function isOutOfDecisions({ overrides, added }: PluginDecisions, id: string): boolean {
  return overrides.get(id) === false && !added.has(id);
}

/** Added plugins that are on and keep people out, in the order of their ids. */
export function guardsOf({ overrides, added }: PluginDecisions): readonly string[] {
  return [...added].flatMap(([id, { ports = [] }]) => (overrides.get(id) !== false && keepsOut(ports) ? [id] : [])).sort();
}

// --- internal ---

/** What is not as it was written is refused: a plugin that keeps people out, or in a process of its own, might be taken for another. */
function parseAdded(id: string, entry: unknown): AddedPackage & { readonly enabled: boolean } {
  if (!isTable(entry)) throw invalid(`"${id}" is neither true, false nor an added package`);
  const { from, integrity, isolation, memoryMib, config, ports, enabled = true } = entry;
  if (typeof from !== "string" || typeof integrity !== "string")
    throw invalid(`the entry of "${id}" has no from or no integrity`);
  const refuse = (key: string, value: unknown, right: string): never => {
    throw invalid(`"${key}" of the entry of "${id}" is ${String(JSON.stringify(value)).slice(0, 80)}; write ${right}`);
  };
  if (typeof enabled !== "boolean") refuse("enabled", enabled, "true or false");
  if (isolation !== undefined && isolation !== "none" && isolation !== "process")
    refuse("isolation", isolation, "none or process");
  if (memoryMib !== undefined && !(Number.isSafeInteger(memoryMib) && Number(memoryMib) > 0))
    refuse("memoryMib", memoryMib, "a whole number above 0");
  if (config !== undefined && !isTable(config)) refuse("config", config, "a table");
  if (ports !== undefined && !(Array.isArray(ports) && ports.every((port) => typeof port === "string" && PORT_ID.test(port))))
    refuse("ports", ports, "a list of the ports that the package fills, or leave it out");
  return { ...entry, enabled } as AddedPackage & { readonly enabled: boolean };
}

function isTable(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function invalid(what: string): MezError {
  return new MezError("INVALID_DOCUMENT", what);
}

const PORT_ID = /^[a-z][a-z0-9]*(-[a-z0-9]+)*$/;

function discard(file: string): void {
  try {
    rmSync(file, { force: true });
  } catch {
    // It is no file of ours; why it could not be written is said already.
  }
}

function flushFolder(folder: string): void {
  const opened = openSync(folder, "r");
  try {
    fsyncSync(opened);
  } finally {
    closeSync(opened);
  }
}
