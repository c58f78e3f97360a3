import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { assemble } from "../core/host/assembly.js";
import type { CommandContext } from "../core/plugin/commands.js";
import { SettingsReader } from "./settings.js";

/** `mezd config check`: everything that a start checks, without opening anything. */
export async function checkConfig(context: CommandContext): Promise<void> {
  const store = mkdtempSync(join(tmpdir(), "mezite-check-"));
  try {
    await check(context, store);
  } finally {
    rmSync(store, { recursive: true, force: true });
  }
}

// --- internal ---

/** @param store Where copies of packages go: the data directory may be that of a running daemon, or not there yet. */
async function check(context: CommandContext, store: string): Promise<void> {
  const { catalog, config } = await new SettingsReader(context, { roles: null }, store).read();
  const { plugins } = await assemble(catalog, config, new Map(), config.roles);
  for (const { entry, roles } of plugins) await entry.verify?.(roles, config.plugins.get(entry.manifest.id)?.config ?? {});
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
