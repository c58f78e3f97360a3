import { defineEntity, type EntityManager, p } from "@mikro-orm/core";
import type { Assurance, Device } from "./device.js";

export const DeviceRecord = defineEntity({
  name: "DeviceRecord",
  tableName: "devices",
  properties: {
    id: p.text().primary(),
    userName: p.text(),
    name: p.text(),
    assurance: p.text(),
    publicKey: p.text(),
    endorsementKey: p.text().nullable(),
    createdAt: p.datetime(),
    lastUsedAt: p.datetime().nullable(),
    revokedAt: p.datetime().nullable(),
    revokedBy: p.text(),
  },
});

/** Stores a new device. */
export async function insertDevice(em: EntityManager, device: Device): Promise<void> {
  await em.insert(DeviceRecord, { ...device });
}

/** Every device, by user, then by time. */
export async function findDevices(em: EntityManager): Promise<readonly Device[]> {
  const records = await em.find(DeviceRecord, {}, { orderBy: { userName: "asc", createdAt: "asc", id: "asc" } });
  return records.map(fromRecord);
}

/** The devices of a person, also revoked ones, oldest first. */
export async function findDevicesOf(em: EntityManager, userName: string): Promise<readonly Device[]> {
  const records = await em.find(DeviceRecord, { userName }, { orderBy: { createdAt: "asc", id: "asc" } });
  return records.map(fromRecord);
}

/** A device by its id, `null` when there is none. */
export async function findDevice(em: EntityManager, id: string): Promise<Device | null> {
  const record = await em.findOne(DeviceRecord, { id });
  return record === null ? null : fromRecord(record);
}

/** A device by its public key, `null` when there is none. */
export async function findDeviceByKey(em: EntityManager, publicKey: string): Promise<Device | null> {
  const record = await em.findOne(DeviceRecord, { publicKey });
  return record === null ? null : fromRecord(record);
}

/** Marks a device as revoked. */
export async function markRevoked(em: EntityManager, id: string, revokedAt: Date, revokedBy: string): Promise<void> {
  await em.nativeUpdate(DeviceRecord, { id }, { revokedAt, revokedBy });
}

/** Notes that a login used a device. */
export async function markUsed(em: EntityManager, id: string, lastUsedAt: Date): Promise<void> {
  await em.nativeUpdate(DeviceRecord, { id }, { lastUsedAt });
}

/** Deletes a device; one that is gone already is no error. */
export async function deleteDevice(em: EntityManager, id: string): Promise<void> {
  await em.nativeDelete(DeviceRecord, { id });
}

// --- internal ---

interface DeviceRow extends Omit<Device, "assurance" | "endorsementKey" | "lastUsedAt" | "revokedAt"> {
  readonly assurance: string;
  readonly endorsementKey?: string | null;
  readonly lastUsedAt?: Date | null;
  readonly revokedAt?: Date | null;
}

function fromRecord({ id, userName, name, assurance, publicKey, createdAt, revokedBy, ...row }: DeviceRow): Device {
  return {
    ...{ id, userName, name, assurance: assurance as Assurance, publicKey, createdAt, revokedBy },
    endorsementKey: row.endorsementKey ?? null,
    lastUsedAt: row.lastUsedAt ?? null,
    revokedAt: row.revokedAt ?? null,
  };
}
