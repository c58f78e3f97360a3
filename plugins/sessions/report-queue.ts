import type { StartedSession } from "./api.js";
import type { LiveList, SessionEvent } from "./live-session.js";

/** What waits to be told of the sessions of one role, in order, and what is under way in it. In memory, bounded. */
export class ReportQueue {
  readonly #live = new Map<string, { readonly session: StartedSession; lastNumber: number }>();
  #waiting: SessionEvent[] = [];

  /** @param maxWaiting Beyond it, events are dropped. */
  constructor(private readonly maxWaiting: number) {}

  get size(): number {
    return this.#waiting.length;
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
    if (this.#waiting.length >= this.maxWaiting) return false;
    this.#waiting.push({ sessionId: id, number: live.lastNumber, at, event });
    return true;
  }

  /** The oldest events, without taking them off. */
  first(count: number): readonly SessionEvent[] {
    return this.#waiting.slice(0, count);
  }

  remove(count: number): void {
    this.#waiting.splice(0, count);
  }

  /** What is under way, with what others know of. */
  live(otherIds: readonly string[]): LiveList {
    const sessions = [...this.#live.values()].map(({ session }) => session);
    return { sessions, otherIds: otherIds.filter((id) => !this.#live.has(id)) };
  }
}
