import { MezError } from "../../core/errors/error.js";
import { isManifest, parseManifest, type SegmentManifest, unpackSegment } from "./archive-segment.js";
import type { ArchiveStore } from "./archive-store.js";
import type { AuditRow } from "./audit-row.js";

/**
 * Reads an archive from its files alone: the events in the order of the chain, a file at a time, each checked against its
 * manifest. Where two files hold the same events, both are read.
 * @throws {MezError} `AUDIT_CHAIN_BROKEN`, `BUCKET_REFUSED`, `BUCKET_UNAVAILABLE`
 */
export async function* readArchive(store: ArchiveStore): AsyncGenerator<readonly AuditRow[], void> {
  const found: { readonly key: string; readonly manifest: SegmentManifest }[] = [];
  for await (const key of store.keys())
    if (isManifest(key)) found.push({ key, manifest: parseManifest(key, await needed(store, key)) });
  found.sort((a, b) => a.manifest.firstSeq - b.manifest.firstSeq || a.manifest.lastSeq - b.manifest.lastSeq);
  for (const { key, manifest } of found) {
    const file = `${key.slice(0, key.lastIndexOf("/") + 1)}${manifest.file}`;
    if (manifest.file.includes("/")) throw new MezError("AUDIT_CHAIN_BROKEN", `${key} names a file of another folder`);
    yield await unpackSegment(file, manifest, await needed(store, file));
  }
}

// --- internal ---

async function needed(store: ArchiveStore, key: string): Promise<Buffer> {
  const bytes = await store.read(key);
  if (bytes === null) throw new MezError("AUDIT_CHAIN_BROKEN", `the archive has lost ${key}`);
  return bytes;
}
