import { promisify } from "node:util";
import { deflateRaw, inflateRaw } from "node:zlib";
import { defineEntity, type EntityManager, p } from "@mikro-orm/core";

/** A compressed part of a recording's text. */
export const RecordingText = defineEntity({
  name: "RecordingText",
  tableName: "recording_texts",
  properties: {
    recordingId: p.text().primary(),
    part: p.integer().primary(),
    text: p.blob(),
  },
});

/** Prepares a piece of text to be stored. */
export async function packed(text: string): Promise<Buffer> {
  return deflate(text, { level: 6 });
}

/** Stores the text of a recording in place of what was stored of it. */
export async function replaceText(em: EntityManager, recordingId: string, parts: readonly Buffer[]): Promise<void> {
  await em.nativeDelete(RecordingText, { recordingId });
  for (const [part, text] of parts.entries()) await em.insert(RecordingText, { recordingId, part, text });
}

/** A part of a recording's text, counted from 0; `null` after the last. */
export async function findText(em: EntityManager, recordingId: string, part: number): Promise<string | null> {
  const row = await em.findOne(RecordingText, { recordingId, part }, { disableIdentityMap: true });
  return row === null ? null : (await inflate(row.text)).toString();
}

// --- internal ---

const deflate = promisify<string, { level: number }, Buffer>(deflateRaw);
const inflate = promisify<Uint8Array, Buffer>(inflateRaw);
