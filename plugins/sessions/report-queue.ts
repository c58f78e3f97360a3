import { randomUUID } from "node:crypto";
import { existsSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { JournaledQueue } from "../../core/plugin/journaled-queue.js";
import type { StartedSession } from "./api.js";
import type { LiveList, SessionEvent } from "./live-session.js";

/** Where a queue is kept. */
export interface QueuePlace {
  readonly folder: string;
  /** Of the agent whose sessions they are. */
  readonly role: string;
  /** Names this run of the process: its files belong to queues that are in use. */
  readonly processId: string;
}

/**
 * What waits to be told of the sessions of one role, in order, and what is under way in it. In memory while the auth
 * service takes it; `save` puts it into a file, so that it outlives the process. Bounded.
 */
export class ReportQueue {
  readonly #live = new Map<string, { readonly session: StartedSession; lastNumber: number }>();
  readonly #path: string;
  /** What is in the file is older than what is not. */
  readonly #saved: JournaledQueue<SessionEvent>;
  readonly #waiting: SessionEvent[] = [];

  /** @param maxWaiting Beyond it, events are dropped. */
  constructor(
    private readonly place: QueuePlace,
    private readonly maxWaiting: number,
  ) {
    this.#path = join(place.folder, `${place.role}~${place.processId}~${randomUUID()}.jsonl`);
    this.#saved = this.#journal(this.#path);
  }

  /** Takes over what earlier processes could not tell. Comes twice after a crash in the middle, which the ledger knows. */
  open(): void {
    const { folder, role, processId } = this.place;
    const names = existsSync(folder) ? readdirSync(folder) : [];
    for (const name of names.filter((name) => name.startsWith(`${role}~`) && !name.startsWith(`${role}~${processId}~`))) {
      const left = this.#journal(join(folder, name));
      left.open();
      this.#waiting.push(...left.first(left.size));
      this.save();
      rmSync(join(folder, name));
    }
  }

  /** Leaves no empty file behind. */
  close(): void {
    if (this.#saved.size === 0) rmSync(this.#path, { force: true });
  }

  #journal(path: string): JournaledQueue<SessionEvent> {
    return new JournaledQueue({ path, maxBytes: this.maxWaiting * EVENT_BYTES, parse: parseEvent });
  }

  get size(): number {
    return this.#saved.size + this.#waiting.length;
  }

  knows(id: string): boolean {
    return this.#live.has(id);
  }

  /**
   * Adds what happened to a session; the first event of one has to be its start. What is said of others is ignored.
   * @returns `false` when there is no room and the event is dropped.
   */
  add(id: string, at: Date, event: SessionEvent["event"]): boolean {
    if (event.kind === "started" && !this.#live.has(id)) this.#live.set(id, { session: event.session, lastNumber: 0 });
    else if (event.kind === "started") return true;
    const live = this.#live.get(id);
    if (live === undefined) return true;
    live.lastNumber += 1;
    if (event.kind === "ended") this.#live.delete(id);
    if (this.size >= this.maxWaiting) return false;
    this.#waiting.push({ sessionId: id, number: live.lastNumber, at, event });
    return true;
  }

  /** Puts what waits into the file, as far as there is room. Throws when it cannot be written; then it waits in memory. */
  save(): void {
    if (this.#waiting.length > 0 && !existsSync(this.#path)) this.#saved.open();
    while (this.#waiting[0] !== undefined && this.#saved.add(this.#waiting[0])) this.#waiting.shift();
  }

  /** The oldest events, without taking them off. */
  first(count: number): readonly SessionEvent[] {
    return [...this.#saved.first(count), ...this.#waiting.slice(0, count)].slice(0, count);
  }

  remove(count: number): void {
    const saved = Math.min(count, this.#saved.size);
    if (saved > 0) this.#saved.remove(saved);
    this.#waiting.splice(0, count - saved);
  }

  /** What is under way, with what others know of. */
  live(otherIds: readonly string[]): LiveList {
    const sessions = [...this.#live.values()].map(({ session }) => session);
    return { sessions, otherIds: otherIds.filter((id) => !this.#live.has(id)) };
  }
}

// --- internal ---

const EVENT_BYTES = 2048;

/** Turns the times of a line that we wrote back into dates. */
function parseEvent(value: unknown): SessionEvent | null {
  const line = value as SessionEvent | null;
  if (typeof line?.sessionId !== "string" || typeof line.event !== "object") return null;
  const { event } = line;
  const revived =
    event.kind === "started" ? { ...event, session: { ...event.session, startedAt: new Date(event.session.startedAt) } } : event;
  return { ...line, at: new Date(line.at), event: revived };
}
