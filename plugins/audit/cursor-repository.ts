import { defineEntity, type EntityManager, p } from "@mikro-orm/core";
import type { Entities } from "../../core/plugin/database.js";

const CursorRecord = defineEntity({
  name: "AuditCursorRecord",
  tableName: "audit_cursors",
  properties: { name: p.text().primary(), seq: p.bigint("number"), missed: p.bigint("number") },
});

export const CURSOR_ENTITIES: Entities = [CursorRecord];

/** How far a forwarder is. */
export interface Cursor {
  /** The last event that it has taken. */
  readonly seq: number;
  /** Events that were removed from the database before it took them. */
  readonly missed: number;
}

/** `null` for a forwarder that was never there. */
export async function readCursor(em: EntityManager, name: string): Promise<Cursor | null> {
  return em.findOne(CursorRecord, { name }, { disableIdentityMap: true });
}

/** Remembers how far a forwarder is. Never goes back: the pump of a plugin that was replaced may be late with its last word. */
export async function saveCursor(em: EntityManager, name: string, cursor: Cursor): Promise<void> {
  if ((await readCursor(em, name)) === null) await em.insert(CursorRecord, { name, ...cursor });
  else await em.nativeUpdate(CursorRecord, { name, seq: { $lt: cursor.seq } }, { ...cursor });
}
