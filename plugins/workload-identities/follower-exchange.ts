import { defineEntity, p } from "@mikro-orm/core";
import { messageOf } from "../../core/errors/error.js";
import type { Lifecycle } from "../../core/plugin/contract.js";
import type { Database, Entities } from "../../core/plugin/database.js";
import type { Logger } from "../../core/plugin/logger.js";
import type { FollowerRow, IdentityFollowers } from "./identity-followers.js";

const FollowerRecord = defineEntity({
  name: "WorkloadFollowerRecord",
  tableName: "workload_followers",
  properties: {
    instance: p.text().primary(),
    name: p.text(),
    /** JSON; `null` from one that has not said anything. */
    trusted: p.text().nullable(),
    lastSeen: p.datetime(3),
  },
});

export const FOLLOWER_ENTITIES: Entities = [FollowerRecord];

/** Tells other auth servers which daemons watch here, and learns which watch there. */
export class FollowerExchange implements Lifecycle {
  #timer: NodeJS.Timeout | null = null;
  #running: Promise<void> = Promise.resolve();
  #told = new Map<string, string>();

  constructor(
    private readonly followers: IdentityFollowers,
    private readonly database: Database,
    private readonly logger: Logger,
    private readonly everyMs = 5_000,
  ) {}

  async start(): Promise<void> {
    await this.exchange();
    this.#timer = setInterval(() => {
      this.#running = this.#running.then(() => this.exchange());
    }, this.everyMs).unref();
  }

  async dispose(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    await this.#running;
  }

  /** Writes what is new. A failure is logged and tried again at the next time. */
  async exchange(): Promise<void> {
    try {
      const own = this.followers.own();
      const news = own.filter((row) => this.#told.get(row.instance) !== wordOf(row));
      const gone = this.followers.forgotten();
      if (news.length > 0 || gone.length > 0) {
        await this.database.transaction(async ({ em }) => {
          if (news.length > 0) await em.upsertMany(FollowerRecord, news.map(toRecord));
          if (gone.length > 0) await em.nativeDelete(FollowerRecord, { name: { $in: [...gone] } });
        });
      }
      this.#told = new Map(own.map((row) => [row.instance, wordOf(row)]));
      const all = await this.database.read((em) => em.find(FollowerRecord, {}, { disableIdentityMap: true }));
      this.followers.learn(
        all.map(({ instance, name, trusted, lastSeen }) => {
          return { instance, name, lastSeen, trusted: trusted == null ? null : (JSON.parse(trusted) as readonly string[]) };
        }),
      );
    } catch (error) {
      this.logger.warn("could not exchange which identity daemons there are", { error: messageOf(error) });
    }
  }
}

// --- internal ---

/** Told again every minute, so that others see that it is there. */
const TELL_AGAIN_MS = 60_000;

function wordOf({ trusted, lastSeen }: FollowerRow): string {
  return JSON.stringify([trusted, Math.floor(lastSeen.getTime() / TELL_AGAIN_MS)]);
}

function toRecord({ instance, name, trusted, lastSeen }: FollowerRow) {
  return { instance, name, lastSeen, trusted: trusted === null ? null : JSON.stringify(trusted) };
}
