import type { ServiceToken } from "./contract.js";

/** Whose session it is, from where and where to: the same from its beginning to its end. */
export interface SessionFacts {
  /** UUID, the same at proxy, node and auth service. */
  readonly id: string;
  readonly user: string;
  /** For a machine: the instance of its agent identity. */
  readonly instance?: string | undefined;
  /** For a person at an enrolled device: its id. */
  readonly device?: string | undefined;
  readonly roles: readonly string[];
  readonly login: string;
  readonly node: string;
  readonly clientAddress: string;
  readonly startedAt: Date;
}

/** A session that is under way in this process: an SSH connection at a proxy or a node. */
export interface LiveSession extends SessionFacts {
  /** Grows whenever the person or the session sends data. Absent where nobody counts: such a session is never idle. */
  readonly activity?: number | undefined;
  /** Ends it at once on this side; `reason` is shown to the person. May be called twice. */
  end(reason: string): void;
}

/** What is registered of a session that keeps its facts apart. */
export function liveSession(facts: SessionFacts, running: Pick<LiveSession, "activity" | "end">): LiveSession {
  return {
    ...facts,
    get activity() {
      return running.activity;
    },
    end: (reason) => running.end(reason),
  };
}

/** Every live session of this process. Outlives generations, so that a lock or a terminate always reaches them. */
export interface LiveSessions {
  /** Registers; the returned function takes it off again. Register first, check locks second. */
  add(session: LiveSession): () => void;
  all(): readonly LiveSession[];
  get(id: string): readonly LiveSession[];
  onChange(listener: (session: LiveSession, change: "added" | "removed") => void): () => void;
}

export const LIVE_SESSIONS: ServiceToken<LiveSessions> = { id: "core.live-sessions", version: 1 };
