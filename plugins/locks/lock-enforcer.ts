import type { Lifecycle } from "../../core/plugin/contract.js";
import type { LiveSession, LiveSessions } from "../../core/plugin/live-sessions.js";
import type { Logger } from "../../core/plugin/logger.js";
import { guardSubjectOf } from "../roles/api.js";
import { sentenceFor } from "./lock.js";
import type { LockGuard } from "./lock-guard.js";

/** Ends the live sessions of this process that a lock hits; also one that begins after the lock has come. */
export class LockEnforcer implements Lifecycle {
  readonly #stops: (() => void)[] = [];

  constructor(
    private readonly guard: Pick<LockGuard, "hit" | "onChange">,
    private readonly liveSessions: LiveSessions,
    private readonly logger: Logger,
  ) {}

  async start(): Promise<void> {
    this.#stops.push(
      this.guard.onChange(() => this.#checkAll()),
      // Sessions register first and are checked second: a lock that arrives in between still finds them.
      this.liveSessions.onChange((session, change) => {
        if (change === "added") this.#check(session);
      }),
    );
    this.#checkAll();
  }

  async dispose(): Promise<void> {
    for (const stop of this.#stops.splice(0)) stop();
  }

  #checkAll(): void {
    for (const session of this.liveSessions.all()) this.#check(session);
  }

  #check(session: LiveSession): void {
    const { id, user, node } = session;
    const hit = this.guard.hit({ ...guardSubjectOf(session), agent: node });
    if (hit === null) return;
    this.logger.info("a lock ends a session", { session: id, user, node, lock: hit.lockId });
    session.end(`session ended: ${sentenceFor(hit.lock)}`);
  }
}
