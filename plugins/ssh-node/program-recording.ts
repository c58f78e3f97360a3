import { MezError, messageOf } from "../../core/errors/error.js";
import type { TerminalRequest } from "../../core/ssh/server-session.js";
import { RECORDING_MODE, RECORDING_POLICY, type RecordingWriter } from "../recordings/api.js";
import type { NodeSession } from "./node-session.js";

export interface RecordedProgram {
  readonly channel: number;
  /** `null` for a login shell. */
  readonly command: string | null;
  readonly terminal: TerminalRequest | null;
}

/** Takes down what a program shows. When that fails, the session ends or goes on as `recording_policy` says, never in silence. */
export class ProgramRecording {
  #writer: RecordingWriter | null = null;

  private constructor(
    private readonly session: NodeSession,
    private readonly channel: number,
    private readonly tell: (line: string) => void,
  ) {}

  /**
   * @param tell Shows the person a line.
   * @returns `null` when recordings are switched off in the cluster.
   * @throws {MezError} `UNAVAILABLE` when recording fails and the session may not do without
   */
  static async begin(
    session: NodeSession,
    program: RecordedProgram,
    tell: (line: string) => void,
  ): Promise<ProgramRecording | null> {
    const { recordings, clock, cluster } = session.parts;
    if (recordings === null || cluster.get(RECORDING_MODE) === "off") return null;
    const { channel, command, terminal } = program;
    const recording = new ProgramRecording(session, channel, tell);
    const { id: sessionId, user, login, node } = session;
    try {
      recording.#writer = await recordings.open({
        sessionId,
        channel,
        user,
        login,
        node,
        width: terminal?.columns || 80,
        height: terminal?.rows || 24,
        command,
        terminal: terminal?.term ?? null,
        startedAt: clock.now(),
        by: "node",
      });
      recording.#writer.onFailure((error) => recording.#onFailure(error));
    } catch (error) {
      recording.#report(error);
      if (!recording.#mayGoOn) {
        throw new MezError("UNAVAILABLE", `this session cannot be recorded, so it does not begin: ${messageOf(error)}`, {
          cause: error,
        });
      }
      tell(`this session is not recorded: ${messageOf(error)}`);
    }
    return recording;
  }

  output(bytes: Buffer): void {
    this.#writer?.output(bytes);
  }

  resize(columns: number, rows: number): void {
    this.#writer?.resize(columns, rows);
  }

  close(): void {
    void this.#writer?.close();
  }

  get #mayGoOn(): boolean {
    return this.session.parts.cluster.get(RECORDING_POLICY) === "best_effort";
  }

  #onFailure(error: MezError): void {
    this.#report(error);
    void this.#writer?.close();
    this.#writer = null;
    if (this.#mayGoOn) this.tell(`this session is no longer recorded: ${messageOf(error)}`);
    else this.session.end(`the session can no longer be recorded: ${messageOf(error)}`);
  }

  #report(error: unknown): void {
    const metadata = { channel: this.channel, sessionGoesOn: this.#mayGoOn };
    this.session.parts.logger.error("recording failed", { session: this.session.id, error: messageOf(error) });
    this.session.audit({ type: "session.recording.failed", success: false, errorMessage: messageOf(error), metadata });
  }
}
