import { MezError } from "../../core/errors/error.js";
import { authorOf } from "../../core/plugin/audit-author.js";
import type { Collection } from "../../core/plugin/collection.js";
import type { RpcHandlers, RpcService } from "../../core/plugin/rpc.js";
import { type Lock as LockMessage, LockServiceService } from "../../proto/gen/mezite/locks/v1/locks.js";
import type { NodeEntry } from "../nodes/api.js";
import type { Lock, LockTarget } from "./api.js";
import { parseLockTarget, planLock } from "./lock.js";
import type { LockService } from "./lock-service.js";

export const LOCK_RPC: RpcService<typeof LockServiceService> = {
  name: "mezite.locks.v1.LockService",
  definition: LockServiceService,
  permissions: { createLock: "lock:create", listLocks: "lock:list", deleteLocks: "lock:delete" },
};

/** @param nodes The inventory, to tell an administrator who locks an agent that is not there. */
export function lockHandlers(locks: LockService, nodes: Collection<NodeEntry>): RpcHandlers<typeof LockServiceService> {
  return {
    async createLock({ target, message, ttlSeconds }, call) {
      const plan = planLock(parseLockTarget(target?.type ?? "", target?.name ?? ""), message, ttlSeconds);
      const lock = await locks.create(plan, authorOf(call));
      return { lock: toMessage(lock), notice: noticeFor(lock.target, nodes) };
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

function noticeFor({ type, name }: LockTarget, nodes: Collection<NodeEntry>): string {
  if (type !== "agent" || nodes.get(name) !== undefined) return "";
  return `no node named ${name} is in the inventory; the lock holds for a proxy of that name, and for whatever joins under it`;
}

function toMessage({ id, target, message, createdBy, createdAt, expiresAt }: Lock): LockMessage {
  return { id, target: { ...target }, message, createdBy, createdAt, expiresAt: expiresAt ?? undefined };
}
