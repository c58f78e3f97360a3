import type { EntityManager } from "@mikro-orm/core";
import { MezError } from "../../core/errors/error.js";
import type { CollectionSource } from "../../core/plugin/collection.js";
import type { Database, Transaction } from "../../core/plugin/database.js";
import type { UserData } from "../../core/ports/user-data.js";
import type { Clock } from "../../core/time/clock.js";
import { DEVICES_COLLECTION, type DeviceEntry } from "../roles/api.js";
import { deleteChallengesOf, deleteExpiredChallenges, hasExpiredChallenges } from "./challenge-repository.js";
import { type Device, entryOf, printable } from "./device.js";
import { auditOf, type DeviceAuthor } from "./device-audit.js";
import { deleteDevice, findDevice, findDevices, findDevicesOf, markRevoked } from "./device-repository.js";
import {
  deleteEnrolmentTokensOf,
  deleteExpiredEnrolmentTokens,
  hasExpiredEnrolmentTokens,
} from "./enrolment-token-repository.js";

/** What administrators do with devices, one transaction each. */
export class DeviceService implements CollectionSource<DeviceEntry>, UserData {
  constructor(
    private readonly database: Database,
    private readonly clock: Clock,
  ) {}

  /** Every device, by user, then by time. */
  async list(): Promise<readonly Device[]> {
    return this.database.read(findDevices);
  }

  async entries(): Promise<readonly (readonly [string, DeviceEntry])[]> {
    return (await this.list()).map((device) => [device.id, entryOf(device)] as const);
  }

  /**
   * The device stays in the list and admits nobody any more; one that is revoked already is no error.
   * @throws {MezError} `DEVICE_NOT_FOUND`
   */
  async revoke(id: string, author: DeviceAuthor): Promise<Device> {
    return this.database.transaction(async (tx) => {
      const device = await require(tx.em, id);
      if (device.revokedAt !== null) return device;
      const revoked = { ...device, revokedAt: this.clock.now(), revokedBy: author.userName ?? "" };
      await markRevoked(tx.em, id, revoked.revokedAt, revoked.revokedBy);
      tx.put(DEVICES_COLLECTION, id, entryOf(revoked));
      tx.audit(auditOf("device.revoked", revoked, author));
      return revoked;
    });
  }

  /** @throws {MezError} `DEVICE_NOT_FOUND` */
  async delete(id: string, author: DeviceAuthor): Promise<Device> {
    return this.database.transaction(async (tx) => {
      const device = await require(tx.em, id);
      await remove(tx, device, author);
      return device;
    });
  }

  async forget(tx: Transaction, userName: string): Promise<void> {
    for (const device of await findDevicesOf(tx.em, userName)) await remove(tx, device, {}, { reason: "user deleted" });
    await deleteEnrolmentTokensOf(tx.em, userName);
    await deleteChallengesOf(tx.em, userName);
  }

  /** Removes what nobody can answer any more. Takes the writer only when there is something to do. @returns How many. */
  async sweep(): Promise<number> {
    const now = this.clock.now();
    const isNeeded = await this.database.read(
      async (em) => (await hasExpiredChallenges(em, now)) || (await hasExpiredEnrolmentTokens(em, now)),
    );
    if (!isNeeded) return 0;
    return this.database.transaction(
      async ({ em }) => (await deleteExpiredChallenges(em, now)) + (await deleteExpiredEnrolmentTokens(em, now)),
    );
  }
}

// --- internal ---

async function require(em: EntityManager, id: string): Promise<Device> {
  const device = await findDevice(em, id);
  if (device === null)
    throw new MezError("DEVICE_NOT_FOUND", `there is no device with id "${printable(id)}"; mezctl devices ls shows them`);
  return device;
}

async function remove(
  tx: Transaction,
  device: Device,
  author: Partial<DeviceAuthor>,
  more: Readonly<Record<string, string>> = {},
): Promise<void> {
  await deleteDevice(tx.em, device.id);
  tx.remove(DEVICES_COLLECTION, device.id);
  tx.audit(auditOf("device.deleted", device, author, more));
}
