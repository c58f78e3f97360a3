import { createReadStream } from "node:fs";
import { isMezError, MezError, messageOf } from "../../core/errors/error.js";
import type { CommandContext } from "../../core/plugin/commands.js";
import { RecordingServiceService } from "../../proto/gen/mezite/recordings/v1/recordings.js";
import { fetchSeal, sealRemark } from "./fetched-seal.js";
import { wantedRecordingId } from "./recording-id.js";

/**
 * `mezctl recordings verify`: compares a file that was downloaded before with its seal.
 * @param file `undefined` for `<id>.cast`
 * @throws {MezError} `SEAL_BROKEN`; `CONFLICT` for a recording without a seal; `NOT_FOUND`
 */
export async function verifyRecording(context: CommandContext, id: string, file = `${id}.cast`): Promise<void> {
  const client = await context.rpc(RecordingServiceService);
  const seal = await fetchSeal(context, client, wantedRecordingId(id));
  const { check } = seal;
  if (check === null) throw new MezError("CONFLICT", `recording ${id} cannot be verified; ${sealRemark(seal)}`);
  try {
    for await (const bytes of createReadStream(file, { signal: context.signal })) check.add(bytes as Buffer);
  } catch (cause) {
    if (context.signal.aborted || isMezError(cause)) throw cause;
    throw new MezError("NOT_FOUND", `${file} cannot be read: ${messageOf(cause)}`, { cause });
  }
  check.end();
  context.output.note(sealRemark(seal));
}
