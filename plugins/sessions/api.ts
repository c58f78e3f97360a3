import type { DurationSetting, NumberSetting } from "../../core/plugin/cluster-settings.js";
import type { CollectionKind } from "../../core/plugin/collection.js";
import type { ServiceToken } from "../../core/plugin/contract.js";
import type { SessionFacts } from "../../core/plugin/live-sessions.js";

/** A session as the process that serves it announces it. */
export interface StartedSession {
  /** UUID, the same at proxy and node. */
  readonly id: string;
  readonly kind: "ssh";
  readonly user: string;
  readonly roles: readonly string[];
  /** Empty at a proxy, which does not see it, unless it stands for a node without an agent. */
  readonly login: string;
  readonly node: string;
  /** Without a port. */
  readonly clientAddress: string;
  readonly startedAt: Date;
  /** In whose name it is reported; default `node` where that role runs, else `proxy`. */
  readonly by?: "proxy" | "node";
}

/** How a session is announced by the process in which it ends. */
export function startedSession(
  { instance: _instance, device: _device, ...facts }: SessionFacts,
  by: "proxy" | "node",
): StartedSession {
  return { ...facts, kind: "ssh", by };
}

export interface ExecutedCommand {
  readonly command: string;
  /** Counts the channels of the session from 0. */
  readonly channel: number;
}

export interface SessionOutcome {
  /** One line: why it ended. */
  readonly reason: string;
  /** From the client. */
  readonly bytesIn: number;
  /** To the client. */
  readonly bytesOut: number;
}

/**
 * Tells the auth service of sessions; in roles `proxy` and `node`. Every call returns at once: reports wait, in
 * a file while the auth service cannot be reached, and are sent until it has them. What is said of a session that was not announced, or after its
 * end, is ignored.
 */
export interface SessionReporter {
  started(session: StartedSession): void;
  /**
   * Resolves when a session that was announced may begin its work: at once, unless `max_sessions_per_user` asks for the
   * auth service's word. One that cannot be reached stops nobody. A session that is refused is also ended.
   * @throws {MezError} `LIMIT_EXCEEDED`
   */
  admitted(id: string): Promise<void>;
  exec(id: string, command: ExecutedCommand): void;
  ended(id: string, outcome: SessionOutcome): void;
}

export const SESSION_REPORTER: ServiceToken<SessionReporter> = { id: "session-reporter", version: 1 };

/** An administrator's word that a session must end. JSON. */
export interface SessionTermination {
  /** Shown to the person whose session it is. */
  readonly reason: string;
  /** Who said so. */
  readonly by: string;
  /** ISO 8601. */
  readonly at: string;
}

/** By session id; entries stay for some minutes, so that a session that is just beginning is caught as well. */
export const SESSION_TERMINATIONS: CollectionKind<SessionTermination> = {
  name: "session-terminations",
  version: 1,
  visibleTo: (caller) => caller.kind === "agent" && (caller.role === "proxy" || caller.role === "node"),
};

/** When sessions that nobody uses end. */
export const SESSION_IDLE_TIMEOUT: DurationSetting = {
  key: "session_idle_timeout",
  type: "duration",
  minSeconds: 10,
  maxSeconds: 604_800,
  zero: "off",
  default: 0,
  description: "SSH sessions end when nothing was sent either way for so long",
};

/** How many sessions a person may have at once. */
export const MAX_SESSIONS_PER_USER: NumberSetting = {
  key: "max_sessions_per_user",
  type: "number",
  min: 1,
  max: 10_000,
  zero: "no limit",
  default: 0,
  description: "how many SSH sessions a person may have at once in the whole cluster; machines are not counted",
};
