import { defineEntity, type EntityManager, p } from "@mikro-orm/core";
import type { Entities } from "../../core/plugin/database.js";

/** One row, in seconds since 1970. */
const ScheduleRecord = defineEntity({
  name: "AuditArchiveScheduleRecord",
  tableName: "audit_archive_schedule",
  properties: { id: p.integer().primary(), nextAt: p.bigint("number") },
});

export const SCHEDULE_ENTITIES: Entities = [ScheduleRecord];

/**
 * Takes the turn that is due, so that no other server does: the next one is then `everySeconds` from now. One that lies further
 * away was set by a clock that ran ahead, or for a longer interval, and counts as due.
 * @returns Whether there was one.
 */
export async function claimTurn(em: EntityManager, now: Date, everySeconds: number): Promise<boolean> {
  const nextAt = secondsOf(now) + everySeconds;
  const isDue = { $or: [{ nextAt: { $lte: secondsOf(now) } }, { nextAt: { $gt: nextAt } }] };
  return (await em.nativeUpdate(ScheduleRecord, { id: ONLY, ...isDue }, { nextAt })) === 1;
}

/** Makes a turn due earlier than the claim said, because it came to nothing. */
export async function repeatTurn(em: EntityManager, now: Date, inSeconds: number): Promise<void> {
  const nextAt = secondsOf(now) + inSeconds;
  await em.nativeUpdate(ScheduleRecord, { id: ONLY, nextAt: { $gt: nextAt } }, { nextAt });
}

// --- internal ---

const ONLY = 1;

function secondsOf(moment: Date): number {
  return Math.floor(moment.getTime() / 1000);
}
