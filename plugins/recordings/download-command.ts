import { randomUUID } from "node:crypto";
import { createWriteStream } from "node:fs";
import { rename, rm, stat } from "node:fs/promises";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { toDiskError } from "../../core/errors/disk-error.js";
import type { CommandContext } from "../../core/plugin/commands.js";
import { RecordingServiceService } from "../../proto/gen/mezite/recordings/v1/recordings.js";
import { fetchSeal, sealRemark } from "./fetched-seal.js";
import { wantedRecordingId } from "./recording-id.js";
import type { SealCheck } from "./seal-check.js";

/**
 * `mezctl recordings download`. A file appears only when all of it has arrived and is what was sealed.
 * @param out `-` for standard output, `undefined` for `<id>.cast`
 * @throws {MezError} `SEAL_BROKEN` when it was changed; to standard output, after its bytes
 */
export async function downloadRecording(context: CommandContext, id: string, out: string | undefined): Promise<void> {
  const client = await context.rpc(RecordingServiceService);
  const seal = await fetchSeal(context, client, wantedRecordingId(id));
  const answers = client.downloadRecording({ id }, { signal: context.signal });
  const bytes = bytesOf(answers, seal.check);
  if (out === "-") {
    await pipeline(bytes, context.stdout, { end: false });
    context.output.note(sealRemark(seal));
    return;
  }
  const path = out ?? `${id}.cast`;
  const sizeBytes = await writeFile(path, bytes);
  context.output.note(`wrote ${path}, ${sizeBytes} bytes; play it with: msh play ${path}`);
  context.output.note(sealRemark(seal));
}

// --- internal ---

type Answers = AsyncIterable<{ readonly data: Buffer }>;

/** @returns Bytes written. */
async function writeFile(path: string, bytes: Readable): Promise<number> {
  // A device or a pipe is written to, not replaced.
  const isSpecial = await stat(path).then(
    (there) => !there.isFile(),
    () => false,
  );
  const unfinished = isSpecial ? path : `${path}.${randomUUID()}.part`;
  const file = createWriteStream(unfinished, { flags: isSpecial ? "w" : "wx", mode: 0o600 });
  try {
    await pipeline(bytes, file);
    if (!isSpecial) await rename(unfinished, path);
    return file.bytesWritten;
  } catch (error) {
    if (!isSpecial) await rm(unfinished, { force: true });
    throw error instanceof Error && "syscall" in error ? toDiskError(error, path) : error;
  }
}

function bytesOf(answers: Answers, check: SealCheck | null): Readable {
  return Readable.from(
    (async function* () {
      for await (const { data } of answers) {
        check?.add(data);
        yield data;
      }
      check?.end();
    })(),
    { objectMode: false },
  );
}
