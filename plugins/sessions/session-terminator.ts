import type { Collection } from "../../core/plugin/collection.js";
import type { Lifecycle } from "../../core/plugin/contract.js";
import type { LiveSession, LiveSessions } from "../../core/plugin/live-sessions.js";
import type { SessionTermination } from "./api.js";

/** Ends the sessions of this process that an administrator terminated; also one that begins after the word has come. */
export class SessionTerminator implements Lifecycle {
  readonly #stops: (() => void)[] = [];

  constructor(
    private readonly terminations: Collection<SessionTermination>,
    private readonly liveSessions: LiveSessions,
  ) {}

  async start(): Promise<void> {
    this.#stops.push(
      this.terminations.onChange((id, termination) => {
        if (termination !== undefined) for (const session of this.liveSessions.get(id)) end(session, termination);
      }),
      this.liveSessions.onChange((session, change) => {
        if (change === "added") this.#check(session);
      }),
    );
    for (const session of this.liveSessions.all()) this.#check(session);
  }

  async dispose(): Promise<void> {
    for (const stop of this.#stops.splice(0)) stop();
  }

  #check(session: LiveSession): void {
    const termination = this.terminations.get(session.id);
    if (termination !== undefined) end(session, termination);
  }
}

// --- internal ---

function end(session: LiveSession, { by, reason }: SessionTermination): void {
  session.end(`session terminated by ${by}${reason === "" ? "" : `: ${reason}`}`);
}
