import type { CollectionKind, EventType } from "mezite/plugin";

export interface Freeze {
  /** UUID. */
  readonly id: string;
  /** Name of a machine, or `*`. */
  readonly node: string;
  readonly reason: string;
  readonly createdBy: string;
  readonly createdAt: Date;
  readonly expiresAt: Date;
}

/** What proxies and nodes know of a freeze. JSON. */
export interface FreezeEntry {
  readonly node: string;
  readonly reason: string;
  /** ISO 8601; from then on the entry means nothing, though it may stay for a while. */
  readonly expiresAt: string;
}

/** Every freeze by id, on proxies and nodes. */
export const FREEZES: CollectionKind<FreezeEntry> = {
  name: "freezes",
  version: 1,
  visibleTo: (caller) => caller.kind === "agent" && (caller.role === "proxy" || caller.role === "node"),
};

/** Raised with each new freeze. */
export const FROZEN: EventType<{ readonly node: string }> = { name: "acme.frozen", version: 1 };

export function covers({ node, expiresAt }: FreezeEntry, name: string, now: Date): boolean {
  return (node === "*" || node === name) && new Date(expiresAt) > now;
}
