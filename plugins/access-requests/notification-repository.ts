import { defineEntity, type EntityManager, p } from "@mikro-orm/core";
import type { Entities } from "../../core/plugin/database.js";

/** A message that waits to be sent. */
export interface Notification {
  /** UUID, version 7: sorts by time. */
  readonly id: string;
  readonly requestId: string;
  /** JSON. */
  readonly body: string;
  readonly createdAt: Date;
}

const NotificationRecord = defineEntity({
  name: "AccessRequestNotificationRecord",
  tableName: "access_request_notifications",
  properties: {
    id: p.text().primary(),
    requestId: p.text(),
    body: p.text(),
    createdAt: p.datetime(),
  },
});

export const NOTIFICATION_ENTITIES: Entities = [NotificationRecord];

export async function insertNotification(em: EntityManager, notification: Notification): Promise<void> {
  await em.insert(NotificationRecord, notification);
}

/** The oldest that waits, `null` when none does. */
export async function findOldestNotification(em: EntityManager): Promise<Notification | null> {
  const [record] = await em.find(NotificationRecord, {}, { orderBy: { createdAt: "asc", id: "asc" }, limit: 1 });
  if (record === undefined) return null;
  const { id, requestId, body, createdAt } = record;
  return { id, requestId, body, createdAt };
}

export async function deleteNotification(em: EntityManager, id: string): Promise<void> {
  await em.nativeDelete(NotificationRecord, { id });
}
