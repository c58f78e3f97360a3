import type { Column, CommandContext } from "../../core/plugin/commands.js";
import { type Recording, RecordingServiceService, RecordingState } from "../../proto/gen/mezite/recordings/v1/recordings.js";

interface ListInput {
  readonly user: string | undefined;
  readonly limit: number;
}

/** `mezctl recordings ls` */
export async function listRecordings(context: CommandContext, { user = "", limit }: ListInput): Promise<void> {
  const client = await context.rpc(RecordingServiceService);
  const recordings: Recording[] = [];
  let pageToken = "";
  do {
    const pageSize = Math.min(PAGE_SIZE, limit - recordings.length);
    const page = await client.listRecordings({ user, pageSize, pageToken }, { signal: context.signal });
    recordings.push(...page.recordings);
    pageToken = page.nextPageToken;
  } while (pageToken !== "" && recordings.length < limit);
  await context.output.rows(recordings, COLUMNS);
  if (pageToken !== "") context.output.note(`only the newest ${recordings.length} recordings are shown; more with --limit`);
}

// --- internal ---

const PAGE_SIZE = 500;

const STATES: Readonly<Record<RecordingState, string>> = {
  [RecordingState.RECORDING_STATE_RECORDING]: "recording",
  [RecordingState.RECORDING_STATE_COMPLETE]: "complete",
  [RecordingState.RECORDING_STATE_INTERRUPTED]: "interrupted",
  [RecordingState.RECORDING_STATE_UNSPECIFIED]: "",
  [RecordingState.UNRECOGNIZED]: "",
};

const COLUMNS: readonly Column<Recording>[] = [
  { key: "id", header: "ID", value: (recording) => recording.id },
  { key: "user", header: "USER", value: (recording) => recording.user, shrink: true },
  { key: "login", header: "LOGIN", value: (recording) => recording.login, shrink: true },
  { key: "node", header: "NODE", value: (recording) => recording.node, shrink: true },
  { key: "startedAt", header: "STARTED", value: (recording) => recording.startedAt },
  { key: "endedAt", header: "ENDED", value: (recording) => recording.endedAt },
  { key: "sizeBytes", header: "BYTES", value: (recording) => recording.sizeBytes, align: "right" },
  { key: "state", header: "STATE", value: (recording) => STATES[recording.state] },
  { key: "command", header: "COMMAND", value: (recording) => recording.command, shrink: true },
];
