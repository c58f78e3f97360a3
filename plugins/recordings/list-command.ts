import type { Column, CommandContext } from "../../core/plugin/commands.js";
import type { RpcClient } from "../../core/plugin/rpc.js";
import { type Recording, RecordingServiceService, RecordingState } from "../../proto/gen/mezite/recordings/v1/recordings.js";

interface ListInput {
  readonly user: string | undefined;
  /** `undefined` for all. */
  readonly contains: string | undefined;
  readonly limit: number;
}

/** `mezctl recordings ls` */
export async function listRecordings(context: CommandContext, { user = "", contains, limit }: ListInput): Promise<void> {
  const client = await context.rpc(RecordingServiceService);
  const found =
    contains === undefined
      ? await newest(context, client, user, limit)
      : await search(context, client, { user, contains }, limit);
  await context.output.rows(found.recordings, COLUMNS);
  if (found.unsearched > 0) context.output.note(`${found.unsearched} recordings could not be read, so they were not searched`);
  if (found.hasMore) context.output.note(`only the newest ${found.recordings.length} recordings are shown; more with --limit`);
}

// --- internal ---

type Client = RpcClient<typeof RecordingServiceService>;

interface Found {
  readonly recordings: readonly Recording[];
  readonly hasMore: boolean;
  readonly unsearched: number;
}

async function newest({ signal }: CommandContext, client: Client, user: string, limit: number): Promise<Found> {
  const recordings: Recording[] = [];
  let pageToken = "";
  do {
    const pageSize = Math.min(PAGE_SIZE, limit - recordings.length);
    const page = await client.listRecordings({ user, pageSize, pageToken }, { signal });
    recordings.push(...page.recordings);
    pageToken = page.nextPageToken;
  } while (pageToken !== "" && recordings.length < limit);
  return { recordings, hasMore: pageToken !== "", unsearched: 0 };
}

async function search(
  { signal }: CommandContext,
  client: Client,
  wanted: { readonly user: string; readonly contains: string },
  limit: number,
): Promise<Found> {
  const recordings: Recording[] = [];
  let unsearched = 0;
  for await (const result of client.searchRecordings(wanted, { signal })) {
    if (result.unsearched) unsearched += 1;
    else if (recordings.length === limit) return { recordings, hasMore: true, unsearched };
    else if (result.recording !== undefined) recordings.push(result.recording);
  }
  return { recordings, hasMore: false, unsearched };
}

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
  { key: "sealed", header: "SEALED", value: (recording) => recording.sealed },
  { key: "command", header: "COMMAND", value: (recording) => recording.command, shrink: true },
];
