import type { Readable } from "node:stream";
import type { Port } from "../plugin/contract.js";

/** Keeps and plays back session recordings (asciicast v2). */
export interface RecordingStore {
  /**
   * Appends at `offset`, the number of bytes held so far; sent again after a crash, the same bytes change nothing.
   * @returns Bytes held now.
   * @throws {MezError} `CONFLICT` when `offset` leaves a gap or the recording is complete; `STORAGE_FULL`.
   */
  append(sessionId: string, offset: number, bytes: Uint8Array): Promise<number>;
  /** Bytes held, 0 for an unknown session: where an upload goes on. */
  size(sessionId: string): Promise<number>;
  /** Makes it whole: nothing can be appended after. */
  complete(sessionId: string): Promise<void>;
  /** @throws {MezError} `NOT_FOUND` */
  read(sessionId: string): Promise<Readable>;
  delete(sessionId: string): Promise<void>;
}

export const RECORDING_STORE: Port<RecordingStore> = { id: "recording-store", version: 1, cardinality: "exactly-one" };
