import type { EntityManager } from "@mikro-orm/core";
import { readDecided, writeDecided } from "../cluster/server-records.js";
import type { AuditRecord } from "../plugin/audit.js";
import type { Database } from "../plugin/database.js";
import { type AddedPackage, type PluginDecisions, parseDecisions, storedForm } from "./plugin-decisions.js";

/**
 * Notes in the transaction that audits a decision what holds from then on. For an auth server that has its database alone: there
 * `plugins.json` is what counts, and it is written first.
 */
export async function noteDecisions(em: EntityManager, decisions: PluginDecisions): Promise<void> {
  const before = await readDecided(em);
  await writeDecided(em, before?.revision ?? 0, JSON.stringify(storedForm(decisions)));
}

/**
 * Audits at a start what `plugins.json` says and no audited decision has said: the process was killed between the two, or somebody
 * has edited the file.
 */
export async function auditFoundDecisions(database: Database, found: PluginDecisions): Promise<void> {
  const known = await database.read(readDecided);
  if (known !== null && differences(parseDecisions(JSON.parse(known.decisions)), found).length === 0) return;
  await database.transaction(async (tx) => {
    // The first start of a release that notes them has nothing to compare with.
    if (known !== null) for (const each of differences(parseDecisions(JSON.parse(known.decisions)), found)) tx.audit(each);
    await noteDecisions(tx.em, found);
  });
}

// --- internal ---

function differences(before: PluginDecisions, after: PluginDecisions): readonly AuditRecord[] {
  const ids = new Set([...before.overrides.keys(), ...before.added.keys(), ...after.overrides.keys(), ...after.added.keys()]);
  return [...ids].sort().flatMap((id) => difference(id, before, after) ?? []);
}

function difference(id: string, before: PluginDecisions, after: PluginDecisions): AuditRecord | null {
  const [was, is] = [before.added.get(id), after.added.get(id)];
  const record = (type: AuditRecord["type"], more: Readonly<Record<string, string>> = {}): AuditRecord => ({
    type,
    resourceType: "plugin",
    resourceName: id,
    metadata: { ...more, found: "plugins.json" },
  });
  if (was !== undefined && is === undefined) return record("plugin.removed");
  if (is !== undefined && decided(was) !== decided(is)) return record("plugin.added", { from: is.from, integrity: is.integrity });
  const on = after.overrides.get(id);
  if (before.overrides.get(id) === on) return null;
  // Nothing said any more: as the file and the build have it.
  if (on === undefined) return record("plugin.reloaded");
  return record(on ? "plugin.enabled" : "plugin.disabled");
}

/** Without what only notes what the package is. */
function decided(entry: AddedPackage | undefined): string | undefined {
  return JSON.stringify(entry === undefined ? undefined : { ...entry, ports: undefined });
}
