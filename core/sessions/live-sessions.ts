import type { LiveSession, LiveSessions } from "../plugin/live-sessions.js";

type Listener = (session: LiveSession, change: "added" | "removed") => void;

/** The one registry of a process; see `LiveSessions`. */
export class ProcessLiveSessions implements LiveSessions {
  readonly #sessions = new Set<LiveSession>();
  readonly #listeners = new Set<Listener>();

  add(session: LiveSession): () => void {
    this.#sessions.add(session);
    this.#tell(session, "added");
    return () => {
      if (this.#sessions.delete(session)) this.#tell(session, "removed");
    };
  }

  all(): readonly LiveSession[] {
    return [...this.#sessions];
  }

  get(id: string): readonly LiveSession[] {
    return [...this.#sessions].filter((session) => session.id === id);
  }

  onChange(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  #tell(session: LiveSession, change: "added" | "removed"): void {
    for (const listener of this.#listeners) listener(session, change);
  }
}
