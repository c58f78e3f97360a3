import { chmodSync, mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { Readable } from "node:stream";
import { MezError, type RecordingStore, requireRecordingId, toDiskError } from "mezite/plugin";

const BUSY_TIMEOUT_MS = 5_000;
const TABLES = `
  create table if not exists recordings (id text primary key, size integer not null, complete integer not null) strict;
  create table if not exists chunks (
    id text not null, start integer not null, bytes blob not null, primary key (id, start)
  ) strict, without rowid;
`;

interface Held {
  readonly size: number;
  readonly complete: number;
}

interface Chunk {
  readonly start: number;
  readonly bytes: Uint8Array;
}

/** Keeps recordings as pieces in one SQLite file, in the order in which they came. */
export class SqliteRecordingStore implements RecordingStore {
  #database: DatabaseSync | null = null;

  /** @param file Absolute; its folder is made when it is missing. */
  constructor(private readonly file: string) {}

  /** @throws {MezError} `STORAGE_UNWRITABLE`, `STORAGE_FULL` */
  open(): void {
    try {
      mkdirSync(dirname(this.file), { recursive: true, mode: 0o700 });
      const database = new DatabaseSync(this.file, { timeout: BUSY_TIMEOUT_MS });
      chmodSync(this.file, 0o600);
      database.exec("pragma journal_mode = wal; pragma synchronous = full");
      database.exec(TABLES);
      this.#database = database;
    } catch (error) {
      throw failure(error, this.file);
    }
  }

  close(): void {
    this.#database?.close();
    this.#database = null;
  }

  async append(id: string, offset: number, bytes: Uint8Array): Promise<number> {
    requireRecordingId(id);
    return this.#transaction((database) => {
      const { size, complete } = this.#held(id) ?? { size: 0, complete: 0 };
      if (offset > size) throw new MezError("CONFLICT", `recording ${id} has ${size} bytes; appending at ${offset} leaves a gap`);
      const known = Math.min(size - offset, bytes.length);
      const isSame = this.#range(id, offset, offset + known).equals(bytes.subarray(0, known));
      if (!isSame || (complete === 1 && known < bytes.length))
        throw new MezError("CONFLICT", `recording ${id} holds other bytes there, or is complete`);
      const added = bytes.subarray(known);
      const now = size + added.length;
      if (added.length > 0) database.prepare("insert into chunks (id, start, bytes) values (?, ?, ?)").run(id, size, added);
      database
        .prepare(
          "insert into recordings (id, size, complete) values (?, ?, ?) on conflict (id) do update set size = excluded.size",
        )
        .run(id, now, complete);
      return now;
    });
  }

  async size(id: string): Promise<number> {
    return this.#held(requireRecordingId(id))?.size ?? 0;
  }

  async complete(id: string): Promise<void> {
    requireRecordingId(id);
    this.#transaction((database) => {
      database
        .prepare("insert into recordings (id, size, complete) values (?, 0, 1) on conflict (id) do update set complete = 1")
        .run(id);
    });
  }

  async read(id: string): Promise<Readable> {
    const held = this.#held(requireRecordingId(id));
    if (held === null) throw new MezError("NOT_FOUND", `there is no recording ${id}`);
    return Readable.from(this.#pieces(id, held.size), { objectMode: false });
  }

  async delete(id: string): Promise<void> {
    requireRecordingId(id);
    this.#transaction((database) => {
      database.prepare("delete from chunks where id = ?").run(id);
      database.prepare("delete from recordings where id = ?").run(id);
    });
  }

  #open(): DatabaseSync {
    if (this.#database === null) throw new MezError("UNAVAILABLE", "the store is not open");
    return this.#database;
  }

  #held(id: string): Held | null {
    const row = this.#open().prepare("select size, complete from recordings where id = ?").get(id);
    return (row as unknown as Held | undefined) ?? null;
  }

  #range(id: string, from: number, to: number): Buffer {
    if (to <= from) return Buffer.alloc(0);
    const rows = this.#open()
      .prepare("select start, bytes from chunks where id = ? and start < ? and start + length(bytes) > ? order by start")
      .all(id, to, from) as unknown as readonly Chunk[];
    const first = rows[0]?.start ?? from;
    return Buffer.concat(rows.map(({ bytes }) => bytes)).subarray(from - first, to - first);
  }

  /** One piece at a time, so that a long recording does not fill the memory. */
  *#pieces(id: string, size: number): Generator<Uint8Array> {
    const next = this.#open().prepare("select start, bytes from chunks where id = ? and start >= ? order by start limit 1");
    for (let at = 0; at < size; ) {
      const chunk = next.get(id, at) as unknown as Chunk | undefined;
      if (chunk === undefined) throw new MezError("NOT_FOUND", `recording ${id} was deleted while it was read`);
      at = chunk.start + chunk.bytes.length;
      yield chunk.bytes;
    }
  }

  #transaction<T>(work: (database: DatabaseSync) => T): T {
    const database = this.#open();
    try {
      database.exec("begin immediate");
      const result = work(database);
      database.exec("commit");
      return result;
    } catch (error) {
      if (database.isTransaction) database.exec("rollback");
      throw failure(error, this.file);
    }
  }
}

/** SQLite's own words for a full disk are not those of the system. */
function failure(error: unknown, file: string): MezError {
  const isFull = error instanceof Error && /disk is full/.test(error.message);
  return toDiskError(isFull ? Object.assign(error, { code: "ENOSPC" }) : error, `the recordings in ${file}`);
}
