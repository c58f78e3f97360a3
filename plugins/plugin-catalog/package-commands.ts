import { parseCheckedYaml } from "../../core/plugin/checked-yaml.js";
import type { Column, CommandContext } from "../../core/plugin/commands.js";
import { readDocument } from "../../core/plugin/document-file.js";
import { type PackageIdentity, PluginCatalogServiceService } from "../../proto/gen/mezite/plugin_catalog/v1/plugin_catalog.js";
import { CHANGE_MS, tellFollowers, told } from "./plugin-commands.js";

export interface PackageInput {
  readonly source: string;
  readonly integrity?: string;
  readonly isolation?: string;
  readonly memoryMib?: number;
  readonly fromFile?: string;
}

/** `mezctl plugins add` */
export async function addPlugin(context: CommandContext, input: PackageInput): Promise<void> {
  const config = input.fromFile === undefined ? "" : await readConfig(context, input.fromFile);
  const client = await context.rpc(PluginCatalogServiceService);
  const { source: from, integrity = "", isolation = "", memoryMib = 0 } = input;
  const options = { signal: context.signal, timeoutMs: CHANGE_MS };
  const { package: added, change } = await client.addPlugin({ from, integrity, isolation, memoryMib, config }, options);
  await context.output.record(added as PackageIdentity, IDENTITY_COLUMNS);
  context.output.note(`plugin ${added?.id} runs${told(change)}`);
  await tellFollowers(context);
}

/** `mezctl plugins pin` */
export async function pinPlugin(context: CommandContext, target: string): Promise<void> {
  const client = await context.rpc(PluginCatalogServiceService);
  const { package: found, change } = await client.pinPlugin({ target }, { signal: context.signal, timeoutMs: CHANGE_MS });
  await context.output.record(found as PackageIdentity, IDENTITY_COLUMNS);
  if (change === undefined) return;
  context.output.note(told(change) === "" ? "nothing changed" : `pinned${told(change)}`);
  await tellFollowers(context);
}

/** `mezctl plugins rm` */
export async function removePlugin(context: CommandContext, id: string): Promise<void> {
  const client = await context.rpc(PluginCatalogServiceService);
  const { change } = await client.removePlugin({ id }, { signal: context.signal, timeoutMs: CHANGE_MS });
  context.output.note(`plugin ${id} is out${told(change)}`);
  await tellFollowers(context);
}

// --- internal ---

/** The server checks it against the plugin's schema. */
async function readConfig(context: CommandContext, file: string): Promise<string> {
  const text = await readDocument(context, file);
  return JSON.stringify(await parseCheckedYaml(text, { file, schema: { type: "object" }, what: "plugin config" }));
}

const IDENTITY_COLUMNS: readonly Column<PackageIdentity>[] = [
  { key: "id", header: "ID", value: ({ id }) => id },
  { key: "version", header: "VERSION", value: ({ version }) => version },
  { key: "integrity", header: "INTEGRITY", value: ({ integrity }) => integrity },
];
