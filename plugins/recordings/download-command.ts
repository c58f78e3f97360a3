import { randomUUID } from "node:crypto";
import { createWriteStream } from "node:fs";
import { rename, rm, stat } from "node:fs/promises";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { toDiskError } from "../../core/errors/disk-error.js";
import type { CommandContext } from "../../core/plugin/commands.js";
import { RecordingServiceService } from "../../proto/gen/mezite/recordings/v1/recordings.js";
import { wantedRecordingId } from "./recording-id.js";

/**
 * `mezctl recordings download`. A file appears only when all of it has arrived.
 * @param out `-` for standard output, `undefined` for `<id>.cast`
 */
export async function downloadRecording(context: CommandContext, id: string, out: string | undefined): Promise<void> {
  const client = await context.rpc(RecordingServiceService);
  const answers = client.downloadRecording({ id: wantedRecordingId(id) }, { signal: context.signal });
  if (out === "-") return pipeline(bytesOf(answers), context.stdout, { end: false });
  const path = out ?? `${id}.cast`;
  const bytes = await writeFile(path, answers);
  context.output.note(`wrote ${path}, ${bytes} bytes; play it with: msh play ${path}`);
}

// --- internal ---

type Answers = AsyncIterable<{ readonly data: Buffer }>;

/** @returns Bytes written. */
async function writeFile(path: string, answers: Answers): Promise<number> {
  // A device or a pipe is written to, not replaced.
  const isSpecial = await stat(path).then(
    (there) => !there.isFile(),
    () => false,
  );
  const unfinished = isSpecial ? path : `${path}.${randomUUID()}.part`;
  const file = createWriteStream(unfinished, { flags: isSpecial ? "w" : "wx", mode: 0o600 });
  try {
    await pipeline(bytesOf(answers), file);
    if (!isSpecial) await rename(unfinished, path);
    return file.bytesWritten;
  } catch (error) {
    if (!isSpecial) await rm(unfinished, { force: true });
    throw error instanceof Error && "syscall" in error ? toDiskError(error, path) : error;
  }
}

function bytesOf(answers: Answers): Readable {
  return Readable.from(
    (async function* () {
      for await (const { data } of answers) yield data;
    })(),
    { objectMode: false },
  );
}
