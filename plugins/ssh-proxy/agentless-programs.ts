import { MezError, messageOf } from "../../core/errors/error.js";
import type { Logger } from "../../core/plugin/logger.js";
import { isFileCopy, isPlainTransfer } from "../../core/ssh/file-transfer.js";
import type { ProgramDecision, RelayedProgram } from "../../core/ssh/relay-rules.js";
import type { SessionRecord } from "../audit/api.js";
import type { RecordedSession, SessionRecorder } from "../recordings/api.js";

export interface AgentlessProgramParts {
  readonly session: RecordedSession;
  /** `null` when nothing is recorded. */
  readonly recorder: SessionRecorder | null;
  readonly logger: Logger;
  audit(record: SessionRecord): void;
  readonly fileCopy: boolean;
  /** Runs on the node in place of whatever the client asks for; the node's certificate says so too. */
  readonly forceCommand: string | null;
  /** Resolves when programs may begin. @throws {MezError} when the session may not be */
  admitted(): Promise<void>;
  onExec(command: string, channel: number): void;
}

/** Decides about the programs of a session, by the same rules as a node with an agent. */
export async function decideProgram(program: RelayedProgram, parts: AgentlessProgramParts): Promise<ProgramDecision> {
  const { kind, channel, terminal } = program;
  const { session, recorder, audit, forceCommand, logger } = parts;
  const refusal = refusalOf(program, parts);
  if (refusal !== null) {
    audit({ type: "access.denied", success: false, errorMessage: refusal, metadata: { command: program.command, channel } });
    return { refused: refusal };
  }
  const shown = forceCommand ?? (kind === "shell" ? null : program.command);
  const isTransfer = forceCommand === null && kind === "subsystem" ? shown === "sftp" : isPlainTransfer(shown ?? "");
  if (shown !== null) parts.onExec(shown, channel);
  if (isTransfer) audit({ type: "session.file", metadata: { program: shown, channel } });
  try {
    await parts.admitted();
    if (recorder === null || (isTransfer && terminal === null)) return { witness: null };
    return { witness: await recorder.begin(session, { channel, command: shown, terminal, tell: (line) => program.tell(line) }) };
  } catch (error) {
    logger.error("a program was not started", { session: session.id, error: messageOf(error) });
    return { refused: error instanceof MezError ? error.message : "the program cannot be started now" };
  }
}

// --- internal ---

const NO_COPY = "copying files is not allowed by your roles";

function refusalOf({ kind, command }: RelayedProgram, { fileCopy, forceCommand }: AgentlessProgramParts): string | null {
  if (fileCopy) return null;
  if (forceCommand !== null) return isFileCopy(forceCommand) ? NO_COPY : null;
  // What a subsystem does is known to the node alone.
  return kind === "subsystem" || (kind === "exec" && isFileCopy(command)) ? NO_COPY : null;
}
