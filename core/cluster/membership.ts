import { randomUUID } from "node:crypto";
import { messageOf } from "../errors/error.js";
import { adoptEvents, type OutboxRow } from "../events/outbox.js";
import type { Database } from "../plugin/database.js";
import type { Duties } from "../plugin/duties.js";
import type { Logger } from "../plugin/logger.js";
import type { OutboxKeeper } from "../storage/outbox-keeper.js";
import {
  addServer,
  beat,
  dutyHolder,
  giveDutiesBack,
  listServers,
  removeServers,
  type ServerRow,
  takeDuty,
} from "./server-records.js";

export interface MembershipParts {
  readonly database: Database;
  readonly keeper: OutboxKeeper;
  /** For people: the host's name. */
  readonly name: string;
  readonly logger: Logger;
  /** Events of servers that are gone, which this one delivers from now on. */
  readonly onAdopted: (rows: readonly OutboxRow[]) => void;
  /** Default 2000. */
  readonly beatMs?: number;
  /** How long a duty is kept that nobody asks for any more; default 10 minutes. */
  readonly idleDutyMs?: number;
  /** Milliseconds of a clock that never steps. */
  readonly now?: () => number;
}

/**
 * This server among those that share the database. Each counts up a number of its own every two seconds; one whose number
 * has stood still for five looks of another is taken off the list, and its events and duties are taken over. No clock is
 * compared with another server's.
 */
export class Membership implements Duties {
  readonly #seen = new Map<string, { readonly beats: number; readonly times: number; readonly at: number }>();
  /** When each duty was asked for last. */
  readonly #held = new Map<string, number>();
  readonly #beatMs: number;
  readonly #now: () => number;
  #beats = 0;
  #report: string | null = null;
  #lastBeat = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout | null = null;
  #beating: Promise<void> | null = null;

  constructor(private readonly parts: MembershipParts) {
    this.#beatMs = parts.beatMs ?? 2000;
    this.#now = parts.now ?? (() => performance.now());
  }

  /** Joins the list. */
  async start(): Promise<void> {
    await this.#beat();
    this.#timer = setInterval(() => {
      this.#beat().catch((error: unknown) =>
        this.parts.logger.warn("no sign of life to the database", { error: messageOf(error) }),
      );
    }, this.#beatMs);
    this.#timer.unref();
  }

  /** Leaves the list, so that others need not wait. */
  async stop(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    await this.#beating?.catch(() => "logged where it began");
    this.#held.clear();
    await this.parts.database
      .transaction((tx) => removeServers(tx.em, [this.parts.keeper.server]))
      .catch((error: unknown) => this.parts.logger.warn("leaving the cluster", { error: messageOf(error) }));
  }

  /** Tells the others how this server fares; `text` is for whoever lists the servers. */
  async report(text: string): Promise<void> {
    this.#report = text;
    await this.#beating?.catch(() => "logged where it began");
    await this.#beat();
  }

  async have(name: string): Promise<boolean> {
    await this.#freshen();
    if (this.#held.has(name)) {
      this.#held.set(name, this.#now());
      return true;
    }
    const { database, keeper } = this.parts;
    const holder = await database.read((em) => dutyHolder(em, name));
    if (holder !== null && holder !== keeper.server) return false;
    return database.transaction(async (tx) => {
      const now = await dutyHolder(tx.em, name);
      if (now === null) await takeDuty(tx.em, name, keeper.server);
      if (now !== null && now !== keeper.server) return false;
      this.#held.set(name, this.#now());
      return true;
    });
  }

  /** Whether this server still is the one that delivers an event. */
  async isOurs(row: OutboxRow): Promise<boolean> {
    if (row.server !== this.parts.keeper.server) return false;
    await this.#freshen();
    return row.server === this.parts.keeper.server;
  }

  /** After a silence others may have taken over: then look first. */
  async #freshen(): Promise<void> {
    if (this.#now() - this.#lastBeat > this.#beatMs * FRESH_BEATS) await this.#beat();
  }

  #beat(): Promise<void> {
    this.#beating ??= this.#sendBeat().finally(() => {
      this.#beating = null;
    });
    return this.#beating;
  }

  async #sendBeat(): Promise<void> {
    const { database, keeper, name, logger, onAdopted } = this.parts;
    const sentAt = this.#now();
    this.#beats += 1;
    // Their plugin is off here by now; elsewhere it may run.
    const idle = [...this.#held].filter(([, askedAt]) => sentAt - askedAt > (this.parts.idleDutyMs ?? IDLE_DUTY_MS));
    const { adopted, renewed } = await database.transaction(async (tx) => {
      const isListed = await beat(tx.em, keeper.server, { beats: this.#beats, report: this.#report });
      const id = isListed ? keeper.server : randomUUID();
      if (!isListed) await addServer(tx.em, { id, name, beats: this.#beats, report: this.#report });
      const servers = await listServers(tx.em);
      const dead = servers.filter((server) => server.id !== id && this.#stoodStill(server));
      for (const server of dead) logger.warn("a server of the cluster is gone; taking over", { server: server.name });
      await removeServers(
        tx.em,
        dead.map((server) => server.id),
      );
      const living = servers.filter((server) => !dead.includes(server)).map((server) => server.id);
      await giveDutiesBack(
        tx.em,
        keeper.server,
        idle.map(([duty]) => duty),
      );
      for (const known of this.#seen.keys()) if (!living.includes(known)) this.#seen.delete(known);
      return { adopted: await adoptEvents(tx.em, id, living), renewed: isListed ? null : id };
    });
    for (const [duty] of idle) this.#held.delete(duty);
    if (renewed !== null) {
      // A new one, also after others have given us up: what they have taken over stays theirs.
      keeper.server = renewed;
      this.#held.clear();
    }
    this.#lastBeat = sentAt;
    if (adopted.length > 0) onAdopted(adopted);
  }

  #stoodStill({ id, beats }: ServerRow): boolean {
    const before = this.#seen.get(id);
    const at = this.#now();
    if (before?.beats !== beats) this.#seen.set(id, { beats, times: 0, at });
    // Whoever finds its own sign of life too old, or not written, looks more often.
    else if (at - before.at >= this.#beatMs / 2) this.#seen.set(id, { beats, times: before.times + 1, at });
    return (this.#seen.get(id)?.times ?? 0) >= DEAD_LOOKS;
  }
}

// --- internal ---

// Less than it takes others to give us up.
const FRESH_BEATS = 3;
const DEAD_LOOKS = 5;
// Longer than the round of any work that asks before each.
const IDLE_DUTY_MS = 600_000;
