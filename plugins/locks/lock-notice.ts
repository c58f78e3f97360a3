import { nearest } from "../../core/errors/suggestion.js";
import type { LockTarget } from "./api.js";
import type { Inventory } from "./lock-rpc.js";

/** What to tell whoever has locked something that is not there; empty when it is, or when nothing here knows. */
export function noticeFor({ type, name }: LockTarget, { nodes, devices }: Inventory): string {
  if (type === "agent" && nodes.get(name) === undefined)
    return `no node named ${name} is in the inventory; the lock holds for a proxy of that name, and for whatever joins under it`;
  if (type !== "device" || devices.get(name) !== undefined) return "";
  const all = [...devices.entries()];
  const called = all.filter(([, device]) => device.name === name);
  if (called.length > 0) {
    const ids = called.slice(0, MAX_SHOWN).map(([id, { user }]) => `${id} (of ${user})`);
    return `warning: the lock keeps nobody out: a device is locked by its id, and ${name} is the name of ${ids.join(", ")}`;
  }
  const near = nearest(
    name,
    all.map(([id]) => id),
  );
  return `warning: no device with id ${name} is enrolled, so the lock keeps nobody out; ${near === undefined ? "mezctl devices ls shows the ids" : `did you mean ${near}?`}`;
}

// --- internal ---

const MAX_SHOWN = 5;
