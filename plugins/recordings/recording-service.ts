import { createHash } from "node:crypto";
import type { Readable } from "node:stream";
import { MezError } from "../../core/errors/error.js";
import type { AuditRecord } from "../../core/plugin/audit.js";
import type { Database } from "../../core/plugin/database.js";
import type { RecordingStore } from "../../core/ports/recording-store.js";
import type { Clock } from "../../core/time/clock.js";
import type { HostSeals, SealKeys } from "../ca/api.js";
import type { Recording } from "./recording.js";
import { recordingId } from "./recording-id.js";
import {
  findRecording,
  insertRecording,
  type KnownEnd,
  listRecordings,
  markAbandoned,
  markEnded,
  markResumed,
  type RecordingFilter,
} from "./recording-repository.js";
import { SEAL_NAMESPACE, statementOf } from "./seal.js";

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

export interface RecordingServiceParts {
  readonly database: Database;
  readonly store: RecordingStore;
  readonly seals: HostSeals;
  readonly clock: Clock;
  readonly clusterName: string;
  /** Called when a recording has become complete. */
  readonly onComplete: () => void;
}

/** The use cases of recordings on the auth service. Bytes go to the store; who, when and where is in the database. */
export class RecordingService {
  /** Completions under way by recording: a recorder that asks again waits for the same one. */
  readonly #completing = new Map<string, Promise<void>>();

  constructor(private readonly parts: RecordingServiceParts) {}

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
    if (known !== null) await this.#resume(known);
    else if (description !== null && offset === 0) await this.#begin(recorder, id, description);
    else throw new MezError("CONFLICT", `recording ${id} is unknown; it has to be sent from its beginning`);
    return this.parts.store.append(id, offset, bytes);
  }

  /** What is held of a recorder's own recording: 0 bytes of an unknown one. */
  async held(recorder: Recorder, id: string): Promise<{ readonly sizeBytes: number; readonly complete: boolean }> {
    const recording = await this.#find(id);
    if (recording === null) return { sizeBytes: 0, complete: false };
    requireRecorder(recording, recorder);
    return { sizeBytes: await this.parts.store.size(id), complete: hasEnded(recording) };
  }

  /**
   * Ends a recording and seals it.
   * @throws {MezError} `NOT_FOUND`, `ACCESS_DENIED`; `CONFLICT` when more or less is held than `sizeBytes`;
   * `KEY_BACKEND_UNAVAILABLE`, after which the recorder asks again
   */
  async complete(recorder: Recorder, id: string, end: ReportedEnd): Promise<void> {
    const recording = await this.#get(id);
    requireRecorder(recording, recorder);
    if (hasEnded(recording)) return;
    const completing = this.#completing.get(id) ?? this.#complete(recording, end).finally(() => this.#completing.delete(id));
    this.#completing.set(id, completing);
    return completing;
  }

  /**
   * Ends a recording of whose recorder nothing is heard any more, and seals what has arrived of it. Should the recorder come back,
   * it goes on from there.
   * @param endedAt When its recorder was last heard of.
   * @throws {MezError} `KEY_BACKEND_UNAVAILABLE`, what the store throws
   */
  async abandon(recording: Recording, endedAt: Date): Promise<void> {
    const { database, store, clock, onComplete } = this.parts;
    const { id } = recording;
    const read = (await store.size(id)) === 0 ? DIGEST_OF_NOTHING : await digestOf(await store.read(id));
    const end = await this.#seal(recording, read, "interrupted", endedAt);
    await database.transaction(async (tx) => {
      if (await markAbandoned(tx.em, id, clock.now(), end)) tx.audit(auditOf(recording, "recording.interrupted", read.sizeBytes));
    });
    onComplete();
  }

  /** Newest first. */
  async list(filter: RecordingFilter, limit: number): Promise<readonly SizedRecording[]> {
    const recordings = await this.parts.database.read((em) => listRecordings(em, filter, limit));
    return Promise.all(
      recordings.map(async (each) => ({ ...each, sizeBytes: each.sizeBytes ?? (await this.parts.store.size(each.id)) })),
    );
  }

  /**
   * Opens a recording for someone who is named in the audit log.
   * @throws {MezError} `NOT_FOUND`
   */
  async download(id: string, reader: Omit<AuditRecord, "type">): Promise<Readable> {
    const { sessionId, userName, node } = await this.#get(id);
    const bytes = await this.parts.store.read(id);
    try {
      await this.parts.database.transaction(async (tx) =>
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

  /** A recording with the keys that may have sealed it. @throws {MezError} `NOT_FOUND` */
  async sealOf(id: string): Promise<{ readonly recording: Recording; readonly keys: SealKeys }> {
    const recording = await this.#get(id);
    return { recording, keys: await this.parts.seals.keys() };
  }

  async #complete(recording: Recording, { endedAt, sizeBytes, interrupted }: ReportedEnd): Promise<void> {
    const { database, store, onComplete } = this.parts;
    const { id } = recording;
    const conflict = (held: number) => new MezError("CONFLICT", `recording ${id} has ${held} bytes here and ${sizeBytes} there`);
    const held = await store.size(id);
    if (held !== sizeBytes) throw conflict(held);
    const read = sizeBytes === 0 ? DIGEST_OF_NOTHING : await digestOf(await store.read(id));
    if (read.sizeBytes !== sizeBytes) throw conflict(read.sizeBytes);
    await store.complete(id);
    const end = await this.#seal(recording, read, interrupted ? "interrupted" : "complete", endedAt);
    await database.transaction(async (tx) => {
      if (recording.abandonedAt !== null) tx.audit(auditOf(recording, "recording.resumed", sizeBytes));
      await markEnded(tx.em, id, end);
    });
    onComplete();
  }

  async #seal(recording: Recording, read: Digest, state: "complete" | "interrupted", endedAt: Date): Promise<KnownEnd> {
    const { seals, clock, clusterName: cluster } = this.parts;
    const statement = statementOf(recording, { cluster, state, ...read, endedAt, sealedAt: clock.now() });
    const signature = await seals.seal(SEAL_NAMESPACE, Buffer.from(statement));
    return { endedAt, sizeBytes: read.sizeBytes, state, seal: { statement, signature } };
  }

  /** Its recorder has come back after it was given up. */
  async #resume(recording: Recording): Promise<void> {
    if (recording.abandonedAt === null) return;
    await this.parts.database.transaction(async (tx) => {
      if (await markResumed(tx.em, recording.id)) tx.audit(auditOf(recording, "recording.resumed", recording.sizeBytes ?? 0));
    });
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
      abandonedAt: null,
      seal: null,
    };
    await this.parts.database.transaction(async (tx) => {
      const known = await findRecording(tx.em, id);
      if (known === null) await insertRecording(tx.em, recording);
      else requireRecorder(known, recorder);
    });
  }

  #find(id: string): Promise<Recording | null> {
    return this.parts.database.read((em) => findRecording(em, id));
  }

  async #get(id: string): Promise<Recording> {
    const recording = await this.#find(id);
    if (recording === null) throw new MezError("NOT_FOUND", `there is no recording ${id}; mezctl recordings ls shows them`);
    return recording;
  }
}

// --- internal ---

const MAX_COMMAND_CHARACTERS = 4096;

interface ReportedEnd {
  readonly endedAt: Date;
  readonly sizeBytes: number;
  readonly interrupted: boolean;
}

interface Digest {
  readonly sizeBytes: number;
  readonly sha256: string;
}

/** A store may know nothing of a recording to which nothing was added. */
const DIGEST_OF_NOTHING: Digest = { sizeBytes: 0, sha256: createHash("sha256").digest("hex") };

async function digestOf(bytes: Readable): Promise<Digest> {
  const hash = createHash("sha256");
  let sizeBytes = 0;
  for await (const piece of bytes as AsyncIterable<Buffer>) {
    hash.update(piece);
    sizeBytes += piece.length;
  }
  return { sizeBytes, sha256: hash.digest("hex") };
}

/** Whether its recorder has reported the end. */
function hasEnded({ endedAt, abandonedAt }: Recording): boolean {
  return endedAt !== null && abandonedAt === null;
}

function auditOf(
  { id, sessionId, userName, node, recorder }: Recording,
  type: "recording.interrupted" | "recording.resumed",
  sizeBytes: number,
): AuditRecord {
  return {
    type,
    resourceType: "recording",
    resourceName: id,
    metadata: { recorded_session: sessionId, recorded_user: userName, node, recorder, size_bytes: sizeBytes },
  };
}

function nameOf({ role, name }: Recorder): string {
  return `${role}:${name}`;
}

function requireRecorder(recording: Recording, recorder: Recorder): void {
  if (recording.recorder === nameOf(recorder)) return;
  throw new MezError("ACCESS_DENIED", `recording ${recording.id} was not made by ${recorder.role} "${recorder.name}"`);
}
