import { MezError, messageOf } from "../../core/errors/error.js";
import type { Logger } from "../../core/plugin/logger.js";
import type { ProgramWitness, RelayedProgram } from "../../core/ssh/relay-rules.js";
import type { Clock } from "../../core/time/clock.js";
import type { RecordingSpool, RecordingWriter } from "../recordings/api.js";
import type { SessionRecord } from "./agentless-programs.js";

export interface AgentlessRecordingParts {
  readonly sessionId: string;
  readonly user: string;
  readonly login: string;
  readonly node: string;
  /** `null` when nothing is recorded. */
  readonly recordings: RecordingSpool | null;
  /** Whether a session goes on that cannot be recorded. */
  mayGoUnrecorded(): boolean;
  audit(record: SessionRecord): void;
  end(reason: string): void;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface RecordedProgram extends Pick<RelayedProgram, "channel" | "terminal" | "tell"> {
  /** `null` for a login shell. */
  readonly command: string | null;
}

/**
 * Takes down what a program shows. When that fails, the session ends or goes on as the settings say, never in silence.
 * @returns `null` when nothing is recorded.
 * @throws {MezError} `UNAVAILABLE` when recording fails and the session may not do without
 */
export async function beginRecording(
  { channel, command, terminal, tell }: RecordedProgram,
  parts: AgentlessRecordingParts,
): Promise<ProgramWitness | null> {
  const { recordings, sessionId, user, login, node, clock, logger } = parts;
  if (recordings === null) return null;
  const report = (error: unknown): void => {
    logger.error("recording failed", { session: sessionId, error: messageOf(error) });
    const metadata = { channel, sessionGoesOn: parts.mayGoUnrecorded() };
    parts.audit({ type: "session.recording.failed", success: false, errorMessage: messageOf(error), metadata });
  };
  let writer: RecordingWriter | null;
  try {
    writer = await recordings.open({
      ...{ sessionId, channel, user, login, node, command },
      width: terminal?.columns || 80,
      height: terminal?.rows || 24,
      terminal: terminal?.term ?? null,
      startedAt: clock.now(),
      by: "proxy",
    });
  } catch (cause) {
    report(cause);
    const reason = messageOf(cause);
    if (!parts.mayGoUnrecorded())
      throw new MezError("UNAVAILABLE", `this session cannot be recorded, so it does not begin: ${reason}`, { cause });
    tell(`this session is not recorded: ${reason}`);
    return null;
  }
  writer.onFailure((error) => {
    report(error);
    void writer?.close();
    writer = null;
    if (parts.mayGoUnrecorded()) tell(`this session is no longer recorded: ${messageOf(error)}`);
    else parts.end(`the session can no longer be recorded: ${messageOf(error)}`);
  });
  return {
    output: (bytes) => writer?.output(bytes),
    resize: (columns, rows) => writer?.resize(columns, rows),
    close: () => void writer?.close(),
  };
}
