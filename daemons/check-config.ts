import { assemble } from "../core/host/assembly.js";
import type { CommandContext } from "../core/plugin/commands.js";
import { builtinCatalog, readSettings } from "./settings.js";

/** `mezd config check`: everything that a start checks, without opening anything. */
export async function checkConfig(context: CommandContext): Promise<void> {
  const catalog = builtinCatalog();
  const config = await readSettings(context, catalog, { roles: null });
  const { plugins } = await assemble(catalog, config, new Map(), config.roles);
  context.stdout.write(
    [
      `configuration is valid: ${config.file ?? "built-in defaults (no config file)"}`,
      `cluster  ${config.clusterName}`,
      `roles    ${[...config.roles].join(", ")}`,
      `data     ${config.dataDirectory}`,
      `plugins  ${plugins.map(({ entry }) => entry.manifest.id).join(", ")}`,
      "",
    ].join("\n"),
  );
}
