import { type FileHandle, open } from "node:fs/promises";
import type { CallOptions, RpcClient } from "../../core/plugin/rpc.js";
import type { RecordingServiceService } from "../../proto/gen/mezite/recordings/v1/recordings.js";
import type { SpoolEntry } from "./spool-folder.js";

export type RecordingClient = Pick<
  RpcClient<typeof RecordingServiceService>,
  "appendRecording" | "getRecordingSize" | "completeRecording"
>;

/** Where an upload stands after a turn. */
export type UploadState = "up to date" | "more to send" | "finished";

/** Brings one recording to the auth service, a few pieces a turn, from wherever an earlier upload came to. */
export class RecordingUpload {
  #sent: number | null;

  /** @param sent Bytes that the auth service holds; `null` when it has to be asked, 0 for a recording that begins here. */
  constructor(
    private readonly path: string,
    private readonly entry: () => SpoolEntry,
    /** Bytes that may be sent: whole lines. */
    private readonly available: () => number,
    sent: 0 | null,
  ) {
    this.#sent = sent;
  }

  /**
   * Sends what there is, at most 4 MiB.
   * @returns `finished` when the auth service has the complete recording, so that the file may go.
   * @throws {MezError} what the auth service threw; the next turn asks it again what it holds.
   */
  async turn(client: RecordingClient, options: CallOptions): Promise<UploadState> {
    const { id, end } = this.entry();
    const available = this.available();
    try {
      if (this.#sent === null) {
        const { sizeBytes, complete } = await client.getRecordingSize({ id }, options);
        if (complete) return "finished";
        this.#sent = sizeBytes;
      }
      if (this.#sent < available) await this.#send(client, options, available);
      if (this.#sent < available) return "more to send";
      if (end === null) return "up to date";
      const sizeBytes = this.#sent;
      await client.completeRecording({ id, endedAt: new Date(end.at), sizeBytes, interrupted: end.interrupted }, options);
      return "finished";
    } catch (error) {
      this.#sent = null;
      throw error;
    }
  }

  async #send(client: RecordingClient, options: CallOptions, available: number): Promise<void> {
    const { id, ...entry } = this.entry();
    const description = { ...entry, command: entry.command ?? "", startedAt: new Date(entry.startedAt) };
    const file = await open(this.path, "r");
    try {
      for (let pieces = 0; pieces < PIECES_A_TURN && (this.#sent as number) < available; pieces += 1) {
        const offset = this.#sent as number;
        const data = await readPiece(file, offset, Math.min(PIECE_BYTES, available - offset));
        const request = { id, offset, data, ...(offset === 0 ? { description } : {}) };
        this.#sent = (await client.appendRecording(request, options)).sizeBytes;
      }
    } finally {
      await file.close();
    }
  }
}

// --- internal ---

const PIECE_BYTES = 256 * 1024;
const PIECES_A_TURN = 16;

async function readPiece(file: FileHandle, offset: number, length: number): Promise<Buffer> {
  const { buffer, bytesRead } = await file.read(Buffer.allocUnsafe(length), 0, length, offset);
  return buffer.subarray(0, bytesRead);
}
