import { createHash } from "node:crypto";
import { setImmediate as nextTurn } from "node:timers/promises";
import { promisify } from "node:util";
import { gunzip, gzip } from "node:zlib";
import { MezError } from "../../core/errors/error.js";
import { parseLine, toLine } from "./archive-line.js";
import type { AuditRow } from "./audit-row.js";
import { chainHash } from "./canonical-row.js";

/** A run of consecutive events that one file of the archive holds. */
export interface Segment {
  readonly firstSeq: number;
  readonly lastSeq: number;
  /** Hash of the event before the first. */
  readonly previousHash: string;
  /** Hash of the last event. */
  readonly lastHash: string;
  /** UTC, `2026-03-01`: the day of its events, see `docs/audit.md`. */
  readonly day: string;
}

/** What a manifest says of its file. JSON with these keys in snake case. */
export interface SegmentManifest extends Segment {
  readonly clusterName: string;
  /** Name of the file, in the same folder. */
  readonly file: string;
  readonly count: number;
  readonly firstId: string;
  readonly lastId: string;
  /** Of the file, compressed as it is. */
  readonly bytes: number;
  readonly sha256: string;
}

/** A segment as it is written. */
export interface PackedSegment {
  readonly fileKey: string;
  readonly manifestKey: string;
  readonly file: Buffer;
  readonly manifest: Buffer;
}

/** Under which keys a segment lies: `2026/03/01/<first>-<last>`. */
export function segmentFiles({ day, firstSeq, lastSeq }: Segment): { readonly fileKey: string; readonly manifestKey: string } {
  const key = `${day.replaceAll("-", "/")}/${padded(firstSeq)}-${padded(lastSeq)}`;
  return { fileKey: key + FILE_ENDING, manifestKey: key + MANIFEST_ENDING };
}

/**
 * Writes a segment: the same events give the same bytes, so that two who write it at once do no harm.
 * @throws {MezError} `AUDIT_CHAIN_BROKEN` when the rows are not the whole segment or do not fit together
 */
export async function packSegment(segment: Segment, rows: readonly AuditRow[]): Promise<PackedSegment> {
  const lines: string[] = [];
  for await (const row of inPieces(rows)) lines.push(lineOf(row));
  const [first, last] = [rows[0], rows.at(-1)];
  const verdict = await checkLines(segment, lines);
  if (verdict !== null || first === undefined || last === undefined)
    throw new MezError("AUDIT_CHAIN_BROKEN", `nothing is archived from a damaged log: ${verdict ?? "it has no events"}`);
  const file = await promisify(gzip)(lines.map((line) => `${line}\n`).join(""));
  const { fileKey, manifestKey } = segmentFiles(segment);
  const manifest = {
    ...{ version: 1, cluster_name: last.clusterName, day: segment.day, file: fileKey.slice(fileKey.lastIndexOf("/") + 1) },
    ...{ count: rows.length, first_seq: first.seq, last_seq: last.seq, first_id: first.id, last_id: last.id },
    ...{ previous_hash: segment.previousHash, last_hash: segment.lastHash, bytes: file.length, sha256: sha256(file) },
  };
  return { fileKey, manifestKey, file, manifest: Buffer.from(`${JSON.stringify(manifest, null, 2)}\n`) };
}

/**
 * Reads the manifest under `key`.
 * @throws {MezError} `AUDIT_CHAIN_BROKEN` for one that is none
 */
export function parseManifest(key: string, bytes: Buffer): SegmentManifest {
  try {
    const fields = JSON.parse(bytes.toString("utf8")) as Readonly<Record<string, unknown>>;
    const text = (name: string): string => expected("string", fields[name]) as string;
    const number = (name: string): number => expected("number", fields[name]) as number;
    if (number("version") !== 1) throw new Error("its version is not 1");
    return {
      ...{ clusterName: text("cluster_name"), day: text("day"), file: text("file"), count: number("count") },
      ...{ firstSeq: number("first_seq"), lastSeq: number("last_seq"), firstId: text("first_id"), lastId: text("last_id") },
      ...{ previousHash: text("previous_hash"), lastHash: text("last_hash"), bytes: number("bytes"), sha256: text("sha256") },
    };
  } catch (cause) {
    throw new MezError("AUDIT_CHAIN_BROKEN", `${key} is no manifest of the archive`, { cause });
  }
}

/**
 * The events of a file, checked against its manifest and the chain.
 * @throws {MezError} `AUDIT_CHAIN_BROKEN` that says what is wrong
 */
export async function unpackSegment(key: string, manifest: SegmentManifest, file: Buffer): Promise<readonly AuditRow[]> {
  if (file.length !== manifest.bytes || sha256(file) !== manifest.sha256)
    throw new MezError("AUDIT_CHAIN_BROKEN", `${key} is not the file that its manifest tells of`);
  const lines = (await unzipped(key, file)).split("\n").slice(0, -1);
  const rows: AuditRow[] = [];
  const verdict = await checkLines(manifest, lines, rows);
  if (verdict !== null || rows.length !== manifest.count)
    throw new MezError("AUDIT_CHAIN_BROKEN", `${key}: ${verdict ?? "it does not hold as many events as its manifest says"}`);
  return rows;
}

/** Whether a key is that of a manifest. */
export function isManifest(key: string): boolean {
  return key.endsWith(MANIFEST_ENDING);
}

// --- internal ---

const PIECE_ITEMS = 100;
const MAX_TEXT_BYTES = 512 * 1024 * 1024;
const FILE_ENDING = ".ndjson.gz";
const MANIFEST_ENDING = ".manifest.json";

function lineOf(row: AuditRow): string {
  try {
    return toLine(row);
  } catch (cause) {
    throw new MezError("AUDIT_CHAIN_BROKEN", `event ${row.seq} (${row.id}) was changed: a part of it is no JSON`, { cause });
  }
}

async function unzipped(key: string, file: Buffer): Promise<string> {
  try {
    return (await promisify(gunzip)(file, { maxOutputLength: MAX_TEXT_BYTES })).toString("utf8");
  } catch (cause) {
    throw new MezError("AUDIT_CHAIN_BROKEN", `${key} cannot be unpacked`, { cause });
  }
}

/**
 * `null` when the lines are the segment.
 * @param rows Filled with what they hold, as far as it is right.
 */
async function checkLines(segment: Segment, lines: readonly string[], rows: AuditRow[] = []): Promise<string | null> {
  let [seq, hash] = [segment.firstSeq - 1, segment.previousHash];
  for await (const line of inPieces(lines)) {
    const row = parseLine(line);
    seq += 1;
    if (row.seq !== seq) return `event ${seq} is missing`;
    if (chainHash(hash, row) !== row.hash) return `event ${seq} (${row.id}) was changed or moved`;
    hash = row.hash;
    rows.push(row);
  }
  if (seq !== segment.lastSeq) return `events ${seq + 1} to ${segment.lastSeq} are missing`;
  return hash === segment.lastHash ? null : `event ${seq} is not the one that was recorded as the last`;
}

/** Lets others have their turn in between: logins go on while the log is archived. */
async function* inPieces<T>(items: readonly T[]): AsyncGenerator<T, void> {
  for (const [index, item] of items.entries()) {
    if (index % PIECE_ITEMS === PIECE_ITEMS - 1) await nextTurn();
    yield item;
  }
}

function expected(type: "string" | "number", value: unknown): unknown {
  if (typeof value !== type) throw new Error(`a ${type} is missing`);
  return value;
}

function padded(seq: number): string {
  return String(seq).padStart(12, "0");
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
