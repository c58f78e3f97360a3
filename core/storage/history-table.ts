/** Name of the table that remembers which migrations of a plugin have run: `migrations_connector_oidc`. */
export function historyTable(pluginId: string): string {
  return `migrations_${pluginId.replaceAll(/[.-]/g, "_")}`;
}

/** Tables that are nobody's but the core's. */
export const CORE_TABLES: readonly string[] = [
  "outbox",
  "outbox_head",
  "cluster_servers",
  "cluster_duties",
  "cluster_plugins",
  "database_moves",
  historyTable("core"),
];
