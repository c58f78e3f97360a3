import type { MezError } from "../../core/errors/error.js";
import type { ChoiceSetting } from "../../core/plugin/cluster-settings.js";
import type { ServiceToken } from "../../core/plugin/contract.js";

/** What is to be recorded: one channel of a session. */
export interface RecordedChannel {
  /** UUID. The recording of channel 0 has this id, later ones `<sessionId>.<channel>`. */
  readonly sessionId: string;
  /** Counts the channels of the session from 0. */
  readonly channel: number;
  readonly user: string;
  readonly login: string;
  readonly node: string;
  /** Size of the terminal in characters; without a terminal 80 and 24. */
  readonly width: number;
  readonly height: number;
  /** `null` for a login shell. */
  readonly command: string | null;
  /** Value of `TERM`, `null` without a terminal. */
  readonly terminal: string | null;
  readonly startedAt: Date;
  /** In whose name it is uploaded; default `node` where that role runs, else `proxy`. */
  readonly by?: "proxy" | "node";
}

/** Takes down what a channel shows. Calls return at once and never throw. */
export interface RecordingWriter {
  /** Bytes as the person sees them. Copied before it returns. */
  output(bytes: Buffer): void;
  resize(columns: number, rows: number): void;
  /**
   * Called once when nothing more can be recorded, also when that has happened before; with `STORAGE_FULL` on a full
   * disk. What was taken down until then is kept.
   */
  onFailure(listener: (error: MezError) => void): void;
  /** The end: what was recorded is on disk when it resolves, and its upload has begun. May be called twice. */
  close(): Promise<void>;
}

/** Records on this host's disk and carries recordings to the auth service, also after a crash; in roles `proxy` and `node`. */
export interface RecordingSpool {
  /** @throws {MezError} `STORAGE_FULL`, `STORAGE_UNWRITABLE`; `ALREADY_EXISTS` for a channel that is or was recorded. */
  open(channel: RecordedChannel): Promise<RecordingWriter>;
}

/** A session whose programs are recorded, as the one who serves it knows it. */
export interface RecordedSession extends Pick<RecordedChannel, "user" | "login" | "node"> {
  /** UUID. */
  readonly id: string;
  /** Who serves it, and uploads its recordings. */
  readonly by: "proxy" | "node";
  /** Ends the session; `reason` is shown to the person. */
  end(reason: string): void;
  /** Tells the audit log that recording failed. */
  onRecordingFailed(failure: { readonly reason: string; readonly channel: number; readonly sessionGoesOn: boolean }): void;
}

/** A program that is about to start in a session. */
export interface RecordedProgram extends Pick<RecordedChannel, "channel" | "command"> {
  readonly terminal: { readonly term: string; readonly columns: number; readonly rows: number } | null;
  /** Shows the person a line. */
  tell(line: string): void;
}

/** Takes down what a program shows. Calls return at once and never throw. */
export type ProgramRecording = Pick<RecordingWriter, "output" | "resize"> & { close(): void };

/** Records the programs of sessions as `recording_mode` and `recording_policy` say; in roles `proxy` and `node`. */
export interface SessionRecorder {
  /**
   * When recording fails, now or later, the session ends or goes on as the policy says, never in silence.
   * @returns `null` when nothing is recorded.
   * @throws {MezError} `UNAVAILABLE` when recording fails and the session may not do without
   */
  begin(session: RecordedSession, program: RecordedProgram): Promise<ProgramRecording | null>;
}

export const SESSION_RECORDER: ServiceToken<SessionRecorder> = { id: "session-recorder", version: 1 };

/** Who records sessions. A proxy can read those to nodes without an agent only. */
export const RECORDING_MODE: ChoiceSetting<"node" | "proxy" | "off"> = {
  key: "recording_mode",
  type: "choice",
  choices: ["node", "proxy", "off"],
  default: "node",
  description:
    "who records: the node, or the proxy where there is no agent; proxies alone; or nobody. Events are audited in any case",
};

/** What happens to a session that cannot be recorded as it should. */
export const RECORDING_POLICY: ChoiceSetting<"strict" | "best_effort"> = {
  key: "recording_policy",
  type: "choice",
  choices: ["strict", "best_effort"],
  default: "strict",
  description: "what happens to a session that cannot be recorded as it should: it ends, or goes on and says so",
};
