import type { Column, CommandContext } from "../../core/plugin/commands.js";
import { ClusterConfigServiceService, type Setting } from "../../proto/gen/mezite/cluster_config/v1/cluster_config.js";

/** `mezctl config get` */
export async function getSettings(context: CommandContext, key: string | undefined): Promise<void> {
  const client = await context.rpc(ClusterConfigServiceService);
  const { settings } = await client.getSettings({ key: key ?? "" }, { signal: context.signal });
  // A table with all of them leaves no room for the description on most terminals.
  const columns = context.output.format === "table" ? COLUMNS.filter(({ key: name }) => !name.startsWith("updated")) : COLUMNS;
  if (key === undefined) await context.output.rows(settings, columns);
  else for (const setting of settings) await printOne(context, setting);
}

/** `mezctl config set` */
export async function setSetting(context: CommandContext, key: string, value: string): Promise<void> {
  const client = await context.rpc(ClusterConfigServiceService);
  const { setting } = await client.setSetting({ key, value }, { signal: context.signal });
  if (setting !== undefined) await context.output.record(setting, COLUMNS);
}

/** `mezctl config unset` */
export async function unsetSetting(context: CommandContext, key: string): Promise<void> {
  const client = await context.rpc(ClusterConfigServiceService);
  const { setting } = await client.unsetSetting({ key }, { signal: context.signal });
  if (setting !== undefined) await context.output.record(setting, COLUMNS);
}

// --- internal ---

async function printOne(context: CommandContext, setting: Setting): Promise<void> {
  if (context.output.format === "table") context.stdout.write(`${setting.value}\n`);
  else await context.output.record(setting, COLUMNS);
}

const COLUMNS: readonly Column<Setting>[] = [
  { key: "key", header: "KEY", value: (setting) => setting.key },
  { key: "value", header: "VALUE", value: (setting) => setting.value },
  { key: "default", header: "DEFAULT", value: (setting) => setting.defaultValue },
  { key: "source", header: "SOURCE", value: (setting) => setting.source },
  { key: "accepts", header: "ACCEPTS", value: (setting) => setting.accepts, shrink: true },
  { key: "description", header: "DESCRIPTION", value: (setting) => setting.description, shrink: true },
  { key: "updatedBy", header: "SET BY", value: (setting) => setting.updatedBy, shrink: true },
  { key: "updatedAt", header: "SET", value: (setting) => setting.updatedAt },
];
