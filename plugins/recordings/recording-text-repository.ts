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
    isLast: p.boolean(),
  },
});

/** Prepares a piece of text to be stored. */
export async function packed(text: string): Promise<Buffer> {
  return deflate(text, { level: 6 });
}

/** Stores the text of a recording in place of what was stored of it. */
export async function replaceText(em: EntityManager, recordingId: string, parts: readonly Buffer[]): Promise<void> {
  await em.nativeDelete(RecordingText, { recordingId });
  for (const [part, text] of parts.entries())
    await em.insert(RecordingText, { recordingId, part, text, isLast: part === parts.length - 1 });
}

/** A part of a recording's text as it is stored. */
export interface PackedText {
  readonly text: Uint8Array;
  readonly isLast: boolean;
}

/** One part of the text of each recording, counted from 0; those that have no such part are left out. */
export async function findTexts(
  em: EntityManager,
  recordingIds: readonly string[],
  part: number,
): Promise<ReadonlyMap<string, PackedText>> {
  const rows = await em.find(RecordingText, { recordingId: { $in: [...recordingIds] }, part }, { disableIdentityMap: true });
  return new Map(rows.map(({ recordingId, text, isLast }) => [recordingId, { text, isLast }]));
}

/** What `packed` was given. */
export async function unpacked({ text }: PackedText): Promise<string> {
  return (await inflate(text)).toString();
}

// --- internal ---

const deflate = promisify<string, { level: number }, Buffer>(deflateRaw);
const inflate = promisify<Uint8Array, Buffer>(inflateRaw);
