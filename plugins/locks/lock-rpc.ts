import { MezError } from "../../core/errors/error.js";
import { authorOf } from "../../core/plugin/audit-author.js";
import type { Collection } from "../../core/plugin/collection.js";
import type { RpcHandlers, RpcService } from "../../core/plugin/rpc.js";
import { type Lock as LockMessage, LockServiceService } from "../../proto/gen/mezite/locks/v1/locks.js";
import type { NodeEntry } from "../nodes/api.js";
import type { DeviceEntry, MachineInstanceEntry, UserEntry } from "../roles/api.js";
import type { Lock } from "./api.js";
import { parseLockTarget, planLock } from "./lock.js";
import { noticeFor } from "./lock-notice.js";
import type { LockService } from "./lock-service.js";

export const LOCK_RPC: RpcService<typeof LockServiceService> = {
  name: "mezite.locks.v1.LockService",
  definition: LockServiceService,
  permissions: { createLock: "lock:create", listLocks: "lock:list", deleteLocks: "lock:delete" },
};

/** What is there, to tell an administrator who locks something that is not. */
export interface Inventory {
  readonly nodes: Collection<NodeEntry>;
  readonly devices: Collection<DeviceEntry>;
  readonly machines: Collection<UserEntry>;
  readonly instances: Collection<MachineInstanceEntry>;
}

export function lockHandlers(locks: LockService, inventory: Inventory): RpcHandlers<typeof LockServiceService> {
  return {
    async createLock({ target, message, ttlSeconds }, call) {
      const plan = planLock(parseLockTarget(target?.type ?? "", target?.name ?? ""), message, ttlSeconds);
      const lock = await locks.create(plan, authorOf(call));
      return { lock: toMessage(lock), notice: noticeFor(lock.target, inventory) };
    },
    async listLocks() {
      return { locks: (await locks.list()).map(toMessage) };
    },
    async deleteLocks({ which }, call) {
      if (which?.$case === "id") return { locks: [toMessage(await locks.delete(which.id, authorOf(call)))] };
      if (which === undefined)
        throw new MezError("INVALID_ARGUMENT", "say which lock: its id, or the type and name of its target");
      const { type, name } = which.target;
      return { locks: (await locks.deleteOn(parseLockTarget(type, name), authorOf(call))).map(toMessage) };
    },
  };
}

// --- internal ---

function toMessage({ id, target, message, createdBy, createdAt, expiresAt }: Lock): LockMessage {
  return { id, target: { ...target }, message, createdBy, createdAt, expiresAt: expiresAt ?? undefined };
}
