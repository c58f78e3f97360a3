import { MezError, messageOf } from "../../core/errors/error.js";
import type { ClusterSettings } from "../../core/plugin/cluster-settings.js";
import type { Logger } from "../../core/plugin/logger.js";
import type { Clock } from "../../core/time/clock.js";
import {
  type ProgramRecording,
  RECORDING_MODE,
  RECORDING_POLICY,
  type RecordedProgram,
  type RecordedSession,
  type RecordingSpool,
  type RecordingWriter,
  type SessionRecorder,
} from "./api.js";

export interface SessionRecorderParts {
  readonly spool: RecordingSpool;
  readonly cluster: Pick<ClusterSettings, "get">;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Records into the spool of this host. */
export class SpoolSessionRecorder implements SessionRecorder {
  constructor(private readonly parts: SessionRecorderParts) {}

  async begin(session: RecordedSession, program: RecordedProgram): Promise<ProgramRecording | null> {
    const { spool, cluster, clock } = this.parts;
    if (cluster.get(RECORDING_MODE) === "off") return null;
    const { id: sessionId, user, login, node, by } = session;
    const { channel, command, terminal } = program;
    let writer: RecordingWriter | null;
    try {
      writer = await spool.open({
        ...{ sessionId, channel, user, login, node, command, by },
        width: terminal?.columns || 80,
        height: terminal?.rows || 24,
        terminal: terminal?.term ?? null,
        startedAt: clock.now(),
      });
    } catch (cause) {
      this.#report(session, channel, cause);
      const reason = messageOf(cause);
      if (!this.#mayGoOn)
        throw new MezError("UNAVAILABLE", `this session cannot be recorded, so it does not begin: ${reason}`, { cause });
      program.tell(`this session is not recorded: ${reason}`);
      return null;
    }
    writer.onFailure((error) => {
      this.#report(session, channel, error);
      void writer?.close();
      writer = null;
      if (this.#mayGoOn) program.tell(`this session is no longer recorded: ${messageOf(error)}`);
      else session.end(`the session can no longer be recorded: ${messageOf(error)}`);
    });
    return {
      output: (bytes) => writer?.output(bytes),
      resize: (columns, rows) => writer?.resize(columns, rows),
      close: () => void writer?.close(),
    };
  }

  get #mayGoOn(): boolean {
    return this.parts.cluster.get(RECORDING_POLICY) === "best_effort";
  }

  #report(session: RecordedSession, channel: number, error: unknown): void {
    this.parts.logger.error("recording failed", { session: session.id, error: messageOf(error) });
    session.onRecordingFailed({ reason: messageOf(error), channel, sessionGoesOn: this.#mayGoOn });
  }
}
