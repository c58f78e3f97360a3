import type { ClusterSettings } from "../../core/plugin/cluster-settings.js";
import type { Lifecycle } from "../../core/plugin/contract.js";
import type { LiveSession, LiveSessions } from "../../core/plugin/live-sessions.js";
import type { Logger } from "../../core/plugin/logger.js";
import { formatDuration } from "../../core/time/duration.js";
import { SESSION_IDLE_TIMEOUT } from "./api.js";

export interface IdleEnforcerParts {
  readonly liveSessions: LiveSessions;
  readonly settings: Pick<ClusterSettings, "get">;
  readonly logger: Logger;
  /** Milliseconds of a clock that is never set back. Default `performance.now`. */
  readonly now?: () => number;
}

/** Ends the sessions of this process in which nothing is sent any more. Looks every few seconds, so data costs nothing. */
export class IdleEnforcer implements Lifecycle {
  readonly #seen = new WeakMap<LiveSession, { activity: number; since: number }>();
  #timer: NodeJS.Timeout | null = null;

  constructor(private readonly parts: IdleEnforcerParts) {}

  async start(): Promise<void> {
    this.#timer = setInterval(() => this.check(), LOOK_MS).unref();
  }

  async dispose(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
  }

  /** Looks at every session once. */
  check(): void {
    const { liveSessions, settings, now = () => performance.now() } = this.parts;
    const limitSeconds = settings.get(SESSION_IDLE_TIMEOUT);
    const moment = now();
    for (const session of liveSessions.all()) {
      const { activity } = session;
      if (activity === undefined) continue;
      const seen = this.#seen.get(session);
      if (seen === undefined || seen.activity !== activity) this.#seen.set(session, { activity, since: moment });
      else if (limitSeconds > 0 && moment - seen.since >= limitSeconds * 1000) this.#end(session, limitSeconds);
    }
  }

  #end(session: LiveSession, limitSeconds: number): void {
    const { id, user, node } = session;
    this.parts.logger.info("an idle session ends", { session: id, user, node, limitSeconds });
    session.end(`session ended: nothing was sent for ${formatDuration(limitSeconds)}, and idle sessions end after that`);
  }
}

// --- internal ---

const LOOK_MS = 2_000;
