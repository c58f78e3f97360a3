import { MezError } from "../../core/errors/error.js";
import { authorOf } from "../../core/plugin/audit-author.js";
import type { CallContext, RpcHandlers, RpcService } from "../../core/plugin/rpc.js";
import {
  type Recording as RecordingMessage,
  RecordingServiceService,
  type RecordingDescription as WireDescription,
  RecordingState as WireState,
} from "../../proto/gen/mezite/recordings/v1/recordings.js";
import { formatPageToken, parsePageToken } from "./page-token.js";
import { parseRecordingId, wantedRecordingId } from "./recording-id.js";
import { parseSearchText, type RecordingSearch } from "./recording-search.js";
import type { Recorder, RecordingDescription, RecordingService, SizedRecording } from "./recording-service.js";

export const RECORDING_RPC: RpcService<typeof RecordingServiceService> = {
  name: "mezite.recordings.v1.RecordingService",
  definition: RecordingServiceService,
  permissions: {
    appendRecording: "recording:create",
    getRecordingSize: "recording:create",
    completeRecording: "recording:create",
    listRecordings: "recording:list",
    searchRecordings: "recording:read",
    getRecordingSeal: "recording:read",
    downloadRecording: "recording:read",
  },
};

/** Answers the calls of nodes that upload recordings and of people who list and download them. */
export function recordingHandlers(
  recordings: RecordingService,
  search: RecordingSearch,
): RpcHandlers<typeof RecordingServiceService> {
  return {
    async appendRecording({ id, offset, data, description }, call) {
      if (data.length > MAX_PIECE_BYTES) throw new MezError("LIMIT_EXCEEDED", `a piece has at most ${MAX_PIECE_BYTES} bytes`);
      if (!Number.isSafeInteger(offset) || offset < 0) throw new MezError("INVALID_ARGUMENT", `offset ${offset} is not possible`);
      const said = description === undefined ? null : parseDescription(description);
      return { sizeBytes: await recordings.append(recorderOf(call), parseRecordingId(id), offset, data, said) };
    },
    async getRecordingSize({ id }, call) {
      return recordings.held(recorderOf(call), parseRecordingId(id));
    },
    async completeRecording({ id, endedAt, sizeBytes, interrupted }, call) {
      if (endedAt === undefined) throw new MezError("INVALID_ARGUMENT", "the end of the recording is missing");
      await recordings.complete(recorderOf(call), parseRecordingId(id), { endedAt, sizeBytes, interrupted });
      return {};
    },
    async listRecordings({ user, pageSize, pageToken }) {
      if (pageSize < 0 || pageSize > MAX_PAGE_SIZE) {
        throw new MezError("INVALID_ARGUMENT", `page size ${pageSize} is not possible; use 1 to ${MAX_PAGE_SIZE}`);
      }
      const size = pageSize || DEFAULT_PAGE_SIZE;
      const filter = { userName: user, ...(pageToken === "" ? {} : { before: parsePageToken(pageToken) }) };
      const found = await recordings.list(filter, size + 1);
      const page = found.slice(0, size);
      const last = page.at(-1);
      return {
        recordings: page.map(toMessage),
        nextPageToken: found.length > size && last !== undefined ? formatPageToken(last) : "",
      };
    },
    async *searchRecordings({ contains, user }, call) {
      const results = search.run(parseSearchText(contains), user, authorOf(call), call.signal);
      for await (const { recording, unsearched } of results) yield { recording: toMessage(recording), unsearched };
    },
    async getRecordingSeal({ id }) {
      const { recording, keys } = await recordings.sealOf(wantedRecordingId(id));
      return {
        state: STATES[recording.state],
        statement: recording.seal?.statement ?? "",
        signature: recording.seal?.signature ?? "",
        trustedKeys: [...keys.trusted],
        formerKeys: [...keys.former],
      };
    },
    async *downloadRecording({ id }, call) {
      const bytes = await recordings.download(wantedRecordingId(id), authorOf(call));
      call.signal.addEventListener("abort", () => bytes.destroy(), { once: true });
      for await (const data of bytes) yield { data: data as Buffer };
    },
  };
}

// --- internal ---

const MAX_PIECE_BYTES = 256 * 1024;
const MAX_NAME_CHARACTERS = 1024;
const DEFAULT_PAGE_SIZE = 100;
const MAX_PAGE_SIZE = 1000;

const STATES = {
  recording: WireState.RECORDING_STATE_RECORDING,
  complete: WireState.RECORDING_STATE_COMPLETE,
  interrupted: WireState.RECORDING_STATE_INTERRUPTED,
} as const;

/** An administrator holds every permission, but is no recorder. */
function recorderOf({ caller }: CallContext): Recorder {
  if (caller.kind === "agent" && (caller.role === "proxy" || caller.role === "node"))
    return { role: caller.role, name: caller.name };
  throw new MezError("ACCESS_DENIED", "only proxies and nodes upload recordings");
}

function parseDescription({ startedAt, ...description }: WireDescription): RecordingDescription {
  if (startedAt === undefined) throw new MezError("INVALID_ARGUMENT", "the beginning of the recording is missing");
  for (const field of ["user", "login", "node"] as const)
    if (description[field].length > MAX_NAME_CHARACTERS)
      throw new MezError("INVALID_ARGUMENT", `the ${field} of a recording has at most ${MAX_NAME_CHARACTERS} characters`);
  return { ...description, startedAt };
}

function toMessage(recording: SizedRecording): RecordingMessage {
  const { id, sessionId, userName, login, node, command, startedAt, endedAt, sizeBytes, state, seal } = recording;
  return {
    ...{ id, sessionId, login, node, command, startedAt, sizeBytes },
    user: userName,
    endedAt: endedAt ?? undefined,
    state: STATES[state],
    sealed: seal !== null,
  };
}
