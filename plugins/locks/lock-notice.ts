import { nearest } from "../../core/errors/suggestion.js";
import { MACHINE_PREFIX } from "../roles/api.js";
import type { LockTarget } from "./api.js";
import type { Inventory } from "./lock-rpc.js";

/** What to tell whoever has locked something that is not there; empty when it is, or when nothing here knows. */
export function noticeFor({ type, name }: LockTarget, { nodes, devices, machines, instances }: Inventory): string {
  if (type === "agent" && nodes.get(name) === undefined)
    return `no node named ${name} is in the inventory; the lock holds for a proxy of that name, and for whatever joins under it`;
  if (type === "agent_identity" && machines.get(`${MACHINE_PREFIX}${name}`) === undefined)
    return `warning: there is no agent identity ${name}, so the lock keeps nobody out until one is made${meant(name, identitiesIn(machines))}`;
  if (type === "agent_identity_instance" && instances.get(name) === undefined)
    return `warning: there is no instance with id ${name}, so the lock keeps nobody out; mezctl agent-identities status shows the ids`;
  if (type !== "device" || devices.get(name) !== undefined) return "";
  const all = [...devices.entries()];
  const called = all.filter(([, device]) => device.name === name);
  if (called.length > 0) {
    const ids = called.slice(0, MAX_SHOWN).map(([id, { user }]) => `${id} (of ${user})`);
    return `warning: the lock keeps nobody out: a device is locked by its id, and ${name} is the name of ${ids.join(", ")}`;
  }
  const ids = all.map(([id]) => id);
  return `warning: no device with id ${name} is enrolled, so the lock keeps nobody out${meant(name, ids) || "; mezctl devices ls shows the ids"}`;
}

// --- internal ---

function meant(name: string, known: readonly string[]): string {
  const near = nearest(name, known);
  return near === undefined ? "" : `; did you mean ${near}?`;
}

function identitiesIn(machines: Inventory["machines"]): readonly string[] {
  return [...machines.entries()].map(([machine]) => machine.slice(MACHINE_PREFIX.length));
}

const MAX_SHOWN = 5;
