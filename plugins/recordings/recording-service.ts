import type { Readable } from "node:stream";
import { MezError } from "../../core/errors/error.js";
import type { AuditRecord } from "../../core/plugin/audit.js";
import type { Database } from "../../core/plugin/database.js";
import type { RecordingStore } from "../../core/ports/recording-store.js";
import type { Recording } from "./recording.js";
import { recordingId } from "./recording-id.js";
import { findRecording, insertRecording, listRecordings, markEnded, type RecordingFilter } from "./recording-repository.js";

/** The process that uploads, as its certificate names it. */
export interface Recorder {
  readonly role: "proxy" | "node";
  readonly name: string;
}

/** What a recorder says of a recording when it begins to send it. */
export interface RecordingDescription {
  readonly sessionId: string;
  readonly channel: number;
  readonly user: string;
  readonly login: string;
  readonly node: string;
  readonly command: string;
  readonly startedAt: Date;
}

/** A recording with the bytes that are held of it now. */
export type SizedRecording = Recording & { readonly sizeBytes: number };

/** The use cases of recordings on the auth service. Bytes go to the store; who, when and where is in the database. */
export class RecordingService {
  constructor(
    private readonly database: Database,
    private readonly store: RecordingStore,
  ) {}

  /**
   * Adds bytes. The row comes first, so that no bytes lie in the store that nobody may read.
   * @returns Bytes held now.
   * @throws {MezError} `ACCESS_DENIED` for another recorder's, `CONFLICT`, `STORAGE_FULL`
   */
  async append(
    recorder: Recorder,
    id: string,
    offset: number,
    bytes: Uint8Array,
    description: RecordingDescription | null,
  ): Promise<number> {
    const known = await this.#find(id);
    if (known !== null) requireRecorder(known, recorder);
    else if (description !== null && offset === 0) await this.#begin(recorder, id, description);
    else throw new MezError("CONFLICT", `recording ${id} is unknown; it has to be sent from its beginning`);
    return this.store.append(id, offset, bytes);
  }

  /** What is held of a recorder's own recording: 0 bytes of an unknown one. */
  async held(recorder: Recorder, id: string): Promise<{ readonly sizeBytes: number; readonly complete: boolean }> {
    const recording = await this.#find(id);
    if (recording === null) return { sizeBytes: 0, complete: false };
    requireRecorder(recording, recorder);
    return { sizeBytes: await this.store.size(id), complete: recording.endedAt !== null };
  }

  /** @throws {MezError} `NOT_FOUND`, `ACCESS_DENIED`; `CONFLICT` when more or less is held than `sizeBytes`. */
  async complete(
    recorder: Recorder,
    id: string,
    end: { readonly endedAt: Date; readonly sizeBytes: number; readonly interrupted: boolean },
  ): Promise<void> {
    const recording = await this.#get(id);
    requireRecorder(recording, recorder);
    if (recording.endedAt !== null) return;
    const held = await this.store.size(id);
    if (held !== end.sizeBytes)
      throw new MezError("CONFLICT", `recording ${id} has ${held} bytes here and ${end.sizeBytes} there`);
    await this.store.complete(id);
    const { endedAt, sizeBytes, interrupted } = end;
    const state = interrupted ? "interrupted" : "complete";
    await this.database.transaction((tx) => markEnded(tx.em, id, { endedAt, sizeBytes, state }));
  }

  /** Newest first. */
  async list(filter: RecordingFilter, limit: number): Promise<readonly SizedRecording[]> {
    const recordings = await this.database.read((em) => listRecordings(em, filter, limit));
    return Promise.all(
      recordings.map(async (each) => ({ ...each, sizeBytes: each.sizeBytes ?? (await this.store.size(each.id)) })),
    );
  }

  /**
   * Opens a recording for someone who is named in the audit log.
   * @throws {MezError} `NOT_FOUND`
   */
  async download(id: string, reader: Omit<AuditRecord, "type">): Promise<Readable> {
    const { sessionId, userName, node } = await this.#get(id);
    const bytes = await this.store.read(id);
    try {
      await this.database.transaction(async (tx) =>
        tx.audit({
          ...reader,
          type: "recording.downloaded",
          resourceType: "recording",
          resourceName: id,
          metadata: { recorded_session: sessionId, recorded_user: userName, node },
        }),
      );
    } catch (error) {
      bytes.destroy();
      throw error;
    }
    return bytes;
  }

  async #begin(recorder: Recorder, id: string, description: RecordingDescription): Promise<void> {
    const { sessionId, channel, user, login, node, command, startedAt } = description;
    if (recordingId(sessionId, channel) !== id)
      throw new MezError("INVALID_ARGUMENT", `recording ${id} has the id of another channel`);
    if (recorder.role === "node" && node !== recorder.name) {
      throw new MezError("ACCESS_DENIED", `node "${recorder.name}" may not record sessions of node "${node.slice(0, 64)}"`);
    }
    const recording: Recording = {
      ...{ id, sessionId, login, node, startedAt },
      recorder: nameOf(recorder),
      userName: user,
      command: command.slice(0, MAX_COMMAND_CHARACTERS),
      endedAt: null,
      sizeBytes: null,
      state: "recording",
    };
    await this.database.transaction(async (tx) => {
      const known = await findRecording(tx.em, id);
      if (known === null) await insertRecording(tx.em, recording);
      else requireRecorder(known, recorder);
    });
  }

  #find(id: string): Promise<Recording | null> {
    return this.database.read((em) => findRecording(em, id));
  }

  async #get(id: string): Promise<Recording> {
    const recording = await this.#find(id);
    if (recording === null) throw new MezError("NOT_FOUND", `there is no recording ${id}; mezctl recordings ls shows them`);
    return recording;
  }
}

// --- internal ---

const MAX_COMMAND_CHARACTERS = 4096;

function nameOf({ role, name }: Recorder): string {
  return `${role}:${name}`;
}

function requireRecorder(recording: Recording, recorder: Recorder): void {
  if (recording.recorder === nameOf(recorder)) return;
  throw new MezError("ACCESS_DENIED", `recording ${recording.id} was not made by ${recorder.role} "${recorder.name}"`);
}
