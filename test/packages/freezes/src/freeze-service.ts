import { randomUUID } from "node:crypto";
import { type Clock, type CollectionSource, type Database, formatDuration, MezError } from "mezite/plugin";
import { FREEZES, FROZEN, type Freeze, type FreezeEntry } from "./freeze.js";
import { deleteFreeze, findFreezes, insertFreeze } from "./freeze-store.js";

export interface NewFreeze {
  readonly node: string;
  readonly reason: string;
  readonly ttlSeconds: number;
}

export interface Author {
  readonly name: string;
  readonly address: string;
}

/** The use cases. Row, live copies, event and audit record of each commit together or not at all. */
export class FreezeService implements CollectionSource<FreezeEntry> {
  constructor(
    private readonly database: Database,
    private readonly clock: Clock,
    private readonly longestSeconds: number,
  ) {}

  /** @throws {MezError} `INVALID_ARGUMENT` */
  async create({ node, reason, ttlSeconds }: NewFreeze, author: Author): Promise<Freeze> {
    if (!/^(\*|[a-zA-Z0-9][a-zA-Z0-9.-]{0,252})$/.test(node))
      throw new MezError("INVALID_ARGUMENT", `"${node.slice(0, 60)}" is no name of a machine; write one, or * for all`);
    if (ttlSeconds < 1 || ttlSeconds > this.longestSeconds)
      throw new MezError("INVALID_ARGUMENT", `a freeze lasts up to ${formatDuration(this.longestSeconds)}`);
    if (reason.length > 200 || /\p{Cc}/u.test(reason))
      throw new MezError("INVALID_ARGUMENT", "the reason is one line of up to 200 characters");
    const createdAt = this.clock.now();
    const expiresAt = new Date(createdAt.getTime() + ttlSeconds * 1000);
    const freeze = { id: randomUUID(), node, reason, createdBy: author.name, createdAt, expiresAt };
    await this.database.transaction(async (tx) => {
      await insertFreeze(tx.em, freeze);
      tx.put(FREEZES, freeze.id, entryOf(freeze));
      tx.emit(FROZEN, { node });
      tx.audit({
        type: "freeze.created",
        userName: author.name,
        clientIp: author.address,
        resourceType: "freeze",
        resourceName: freeze.id,
        metadata: { node, reason, ttlSeconds },
      });
    });
    return freeze;
  }

  /** Those that hold, newest first. */
  async list(): Promise<readonly Freeze[]> {
    const now = this.clock.now();
    return (await this.database.read(findFreezes)).filter(({ expiresAt }) => expiresAt > now);
  }

  /** @throws {MezError} `NOT_FOUND` */
  async lift(id: string, author: Author): Promise<void> {
    await this.database.transaction(async (tx) => {
      if (!(await deleteFreeze(tx.em, id))) throw new MezError("NOT_FOUND", `there is no freeze ${id.slice(0, 60)}`);
      tx.remove(FREEZES, id);
      const resource = { resourceType: "freeze", resourceName: id };
      tx.audit({ type: "freeze.lifted", userName: author.name, clientIp: author.address, ...resource });
    });
  }

  /** Removes what has expired. @returns How many. */
  async sweep(): Promise<number> {
    const now = this.clock.now();
    const expired = (await this.database.read(findFreezes)).filter(({ expiresAt }) => expiresAt <= now);
    if (expired.length > 0)
      await this.database.transaction(async (tx) => {
        for (const { id } of expired) if (await deleteFreeze(tx.em, id)) tx.remove(FREEZES, id);
      });
    return expired.length;
  }

  async entries(): Promise<readonly (readonly [string, FreezeEntry])[]> {
    return (await this.database.read(findFreezes)).map((freeze) => [freeze.id, entryOf(freeze)]);
  }
}

function entryOf({ node, reason, expiresAt }: Freeze): FreezeEntry {
  return { node, reason, expiresAt: expiresAt.toISOString() };
}
