import { messageOf } from "../../core/errors/error.js";
import type { Lifecycle } from "../../core/plugin/contract.js";
import type { Database } from "../../core/plugin/database.js";
import type { Logger } from "../../core/plugin/logger.js";
import type { Clock } from "../../core/time/clock.js";
import type { TrustReport } from "../ca/api.js";
import { findLastSeen, findTrust, storeHeartbeats } from "./agent-repository.js";

const MISSED_INTERVALS = 3;
const BATCH_ROWS = 500;
/** How often in an interval; what is known of another server's agents is not older than two such parts. */
const EXCHANGES = 3;
/** How often a connection shows that it lives: agents ask that every 20 s, and the streams that they follow are looked at every 10. */
const SIGN_SECONDS = 30;
/** Heartbeats that an agent with a connection may leave out, less one. */
const QUIET_INTERVALS = 9;

/**
 * When each agent was last heard, and what it said of the CA keys that it trusts. In memory; written and read again in
 * batches three times an interval, so that a heartbeat costs no transaction and each server knows what others have heard.
 *
 * A connection that lives is as good as a heartbeat, so agents with one need not send many.
 */
export class Heartbeats implements Lifecycle {
  readonly #lastSeen = new Map<string, number>();
  readonly #unsaved = new Set<string>();
  /** What was written of `#lastSeen`. */
  readonly #saved = new Map<string, number>();
  readonly #gone = new Set<string>();
  readonly #trust = new Map<string, TrustReport>();
  #timer: NodeJS.Timeout | null = null;
  #saving: Promise<void> = Promise.resolve();

  /** @param isShared Whether other servers write to the database as well; asked before each look. */
  constructor(
    private readonly database: Database,
    private readonly clock: Clock,
    private readonly logger: Logger,
    readonly intervalSeconds: number,
    private readonly isShared: () => Promise<boolean> = async () => true,
  ) {}

  /** What agents that are connected are asked for. */
  get connectedIntervalSeconds(): number {
    const isHeardInTime = this.intervalSeconds * MISSED_INTERVALS >= SIGN_SECONDS * 2;
    return isHeardInTime ? this.intervalSeconds * QUIET_INTERVALS : this.intervalSeconds;
  }

  async start(): Promise<void> {
    await this.#learn(new Date(0));
    this.#timer = setInterval(
      () => {
        this.#saving = this.#saving.then(() => this.save()).then(() => this.look());
      },
      this.intervalSeconds * (1000 / EXCHANGES),
    );
    this.#timer.unref();
  }

  async dispose(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    await this.#saving;
    await this.save();
  }

  /** @param trust `null` when it did not say. */
  beat(id: string, trust: TrustReport | null = null): void {
    if (trust !== null) this.#trust.set(id, trust);
    this.#lastSeen.set(id, this.clock.now().getTime());
    this.#unsaved.add(id);
    this.#gone.delete(id);
  }

  /** Something came over the connection of an agent; of one that has not registered, or has said goodbye, it says nothing. */
  hear(id: string): void {
    const before = this.#lastSeen.get(id);
    if (before === undefined || this.#gone.has(id)) return;
    const now = this.clock.now().getTime();
    this.#lastSeen.set(id, now);
    if (now - (this.#saved.get(id) ?? before) >= this.intervalSeconds * 1000) this.#unsaved.add(id);
  }

  /** The agent said goodbye: offline at once, without waiting for heartbeats to fail to come. */
  leave(id: string): void {
    this.#gone.add(id);
  }

  forget(id: string): void {
    this.#lastSeen.delete(id);
    this.#unsaved.delete(id);
    this.#saved.delete(id);
    this.#gone.delete(id);
    this.#trust.delete(id);
  }

  /** What an agent said last of the CA keys that it trusts; `null` when it never did. */
  trustOf(id: string): TrustReport | null {
    return this.#trust.get(id) ?? null;
  }

  lastSeen(id: string): Date | null {
    const time = this.#lastSeen.get(id);
    return time === undefined ? null : new Date(time);
  }

  isOnline(id: string): boolean {
    const time = this.#lastSeen.get(id);
    return (
      time !== undefined &&
      !this.#gone.has(id) &&
      this.clock.now().getTime() - time <= MISSED_INTERVALS * this.intervalSeconds * 1000
    );
  }

  /** Writes what is new. A failure is logged and tried again at the next interval. */
  async save(): Promise<void> {
    const ids = [...this.#unsaved];
    for (let start = 0; start < ids.length; start += BATCH_ROWS) {
      const batch = ids.slice(start, start + BATCH_ROWS).flatMap((id) => {
        const time = this.#lastSeen.get(id);
        return time === undefined ? [] : [{ agentId: id, lastSeen: new Date(time), trust: this.trustOf(id) }];
      });
      if (batch.length === 0) continue;
      try {
        await this.database.transaction((tx) => storeHeartbeats(tx.em, batch));
        for (const { agentId, lastSeen } of batch) {
          this.#saved.set(agentId, lastSeen.getTime());
          if (this.#lastSeen.get(agentId) === lastSeen.getTime()) this.#unsaved.delete(agentId);
        }
      } catch (error) {
        this.logger.warn("could not store heartbeats", { error: messageOf(error) });
        return;
      }
    }
  }

  /** Takes in what other servers have heard. A failure is logged and tried again the next time. */
  async look(): Promise<void> {
    try {
      if (!(await this.isShared())) return;
      await this.#learn(new Date(this.clock.now().getTime() - (MISSED_INTERVALS + 1) * this.intervalSeconds * 1000));
    } catch (error) {
      this.logger.warn("could not read heartbeats", { error: messageOf(error) });
    }
  }

  async #learn(since: Date): Promise<void> {
    await this.database.read(async (em) => {
      const seen = await findLastSeen(em, since);
      // Of most agents nobody knows more than this server.
      const isNews = (id: string, time: number): boolean => time > this.#lastTime(id) || this.trustOf(id) === null;
      const news = seen.filter(({ agentId, lastSeen }) => isNews(agentId, lastSeen.getTime()));
      const trust = await findTrust(
        em,
        news.map(({ agentId }) => agentId),
      );
      for (const { agentId, lastSeen } of news) this.#note(agentId, lastSeen.getTime(), trust.get(agentId) ?? null);
    });
  }

  #note(id: string, time: number, trust: TrustReport | null): void {
    const isNewer = time > this.#lastTime(id); // it may have beaten here meanwhile
    if (trust !== null && (isNewer || this.trustOf(id) === null)) this.#trust.set(id, trust);
    if (!isNewer) return;
    this.#lastSeen.set(id, time);
    this.#gone.delete(id);
  }

  #lastTime(id: string): number {
    return this.#lastSeen.get(id) ?? Number.NEGATIVE_INFINITY;
  }
}
