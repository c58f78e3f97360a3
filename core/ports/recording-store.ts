import type { Readable } from "node:stream";
import { MezError } from "../errors/error.js";
import type { Port } from "../plugin/contract.js";

/**
 * Checks the id of a recording, which comes over the network: a UUID, or one with the number of a channel, `<uuid>.2`. What passes
 * is safe as the name of a file. Every method of a store checks its id.
 * @throws {MezError} `INVALID_ARGUMENT`
 */
export function requireRecordingId(id: string): string {
  if (ID.test(id)) return id;
  throw new MezError("INVALID_ARGUMENT", `"${id.slice(0, 60)}" is not the id of a recording`);
}

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

// --- internal ---

const ID = /^[0-9a-zA-Z][0-9a-zA-Z-]{0,63}(?:\.\d{1,9})?$/;
