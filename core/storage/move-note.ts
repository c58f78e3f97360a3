import { defineEntity, type EntityManager, p } from "@mikro-orm/core";
import type { Entities } from "../plugin/database.js";

const NoteRecord = defineEntity({
  name: "DatabaseMoveNote",
  tableName: "database_moves",
  properties: { id: p.integer().primary(), fromPlace: p.text(), rows: p.bigint("number"), complete: p.boolean() },
});

export const MOVE_ENTITIES: Entities = [NoteRecord];

/** Says of a database that it was filled from another one. */
export interface MoveNote {
  /** For people. */
  readonly fromPlace: string;
  readonly rows: number;
  /** `false` while it is being filled, and for ever when that failed. */
  readonly complete: boolean;
}

/** `null` when the database was not moved, or the move has been written to the audit log. */
export async function readMoveNote(em: EntityManager): Promise<MoveNote | null> {
  return em.findOne(NoteRecord, { id: 1 }, { disableIdentityMap: true });
}

export async function writeMoveNote(em: EntityManager, note: MoveNote): Promise<void> {
  await em.upsert(NoteRecord, { id: 1, ...note });
}

export async function deleteMoveNote(em: EntityManager): Promise<void> {
  await em.nativeDelete(NoteRecord, { id: 1 });
}
