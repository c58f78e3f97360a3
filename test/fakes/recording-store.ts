import { Readable } from "node:stream";
import type { ErrorCode } from "../../core/errors/codes.js";
import { MezError } from "../../core/errors/error.js";
import { type RecordingStore, requireRecordingId } from "../../core/ports/recording-store.js";

/** A recording store that works, keeps everything in memory and can be told to fail. */
export class FakeRecordingStore implements RecordingStore {
  readonly #recordings = new Map<string, { bytes: Buffer; complete: boolean }>();
  #failNextAppend: ErrorCode | null = null;

  /** The next call of `append` fails with this code; those after it work. */
  failNextAppend(code: ErrorCode): void {
    this.#failNextAppend = code;
  }

  /** What it holds, `null` for an unknown recording. */
  bytes(id: string): Buffer | null {
    return this.#recordings.get(id)?.bytes ?? null;
  }

  /** What somebody does who gets at the place where recordings are kept. */
  tamper(id: string, change: (bytes: Buffer) => Buffer): void {
    const recording = this.#recordings.get(id);
    if (recording !== undefined) recording.bytes = change(recording.bytes);
  }

  isComplete(id: string): boolean {
    return this.#recordings.get(id)?.complete ?? false;
  }

  async append(id: string, offset: number, bytes: Uint8Array): Promise<number> {
    requireRecordingId(id);
    const code = this.#failNextAppend;
    this.#failNextAppend = null;
    if (code !== null) throw new MezError(code, "the fake recording store was told to fail");
    const recording = this.#recordings.get(id) ?? { bytes: Buffer.alloc(0), complete: false };
    const held = recording.bytes;
    if (offset > held.length) throw new MezError("CONFLICT", `appending at ${offset} leaves a gap`);
    const known = Math.min(held.length - offset, bytes.length);
    const fits = held.subarray(offset, offset + known).equals(bytes.subarray(0, known));
    if (!fits || (recording.complete && known < bytes.length)) {
      throw new MezError("CONFLICT", `recording ${id} holds other bytes there, or is complete`);
    }
    recording.bytes = Buffer.concat([held, bytes.subarray(known)]);
    this.#recordings.set(id, recording);
    return recording.bytes.length;
  }

  async size(id: string): Promise<number> {
    requireRecordingId(id);
    return this.bytes(id)?.length ?? 0;
  }

  async complete(id: string): Promise<void> {
    requireRecordingId(id);
    this.#recordings.set(id, { bytes: this.bytes(id) ?? Buffer.alloc(0), complete: true });
  }

  async read(id: string): Promise<Readable> {
    requireRecordingId(id);
    const bytes = this.bytes(id);
    if (bytes === null) throw new MezError("NOT_FOUND", `there is no recording ${id}`);
    return Readable.from([bytes]);
  }

  async delete(id: string): Promise<void> {
    requireRecordingId(id);
    this.#recordings.delete(id);
  }
}
