import { createReadStream, existsSync } from "node:fs";
import { write } from "../../core/cli/output.js";
import { MezError, messageOf } from "../../core/errors/error.js";
import type { CommandContext } from "../../core/plugin/commands.js";
import { type CastEvent, type CastHeader, readCast } from "./asciicast.js";

export interface PlayInput {
  /** Session id, or a file. */
  readonly recording: string;
  readonly speed: string;
  /** Seconds. */
  readonly maxIdle: number | undefined;
}

/**
 * `msh play`: shows a recording with its pauses on a terminal, and all of it at once elsewhere.
 * @throws {MezError} `NOT_FOUND`, `INVALID_DOCUMENT`
 */
export async function play(context: CommandContext, { recording, speed: factor, maxIdle }: PlayInput): Promise<void> {
  const speed = parseSpeed(factor);
  let elapsed = 0;
  try {
    for await (const part of readCast(source(context, recording), recording)) {
      if ("width" in part) {
        warnIfTooSmall(context, part);
        continue;
      }
      const pause = Math.min(part.seconds - elapsed, maxIdle ?? Number.POSITIVE_INFINITY);
      elapsed = part.seconds;
      if (context.isTerminal && pause > 0) await sleep((pause * 1000) / speed, context.signal);
      await show(context, part);
    }
  } finally {
    // What was played may have left colours on, the cursor hidden or the other screen shown.
    if (context.isTerminal) await write(context.stdout, "\x1b[0m\x1b[?25h\x1b[?1049l\n");
  }
}

// --- internal ---

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}(\.\d+)?$/i;

function parseSpeed(text: string): number {
  const speed = Number(text);
  if (!(speed > 0) || speed > 1000) {
    throw new MezError("INVALID_ARGUMENT", `--speed=${text.slice(0, 40)} is not valid; use a number such as 2 or 0.5`);
  }
  return speed;
}

async function* source(context: CommandContext, recording: string): AsyncGenerator<Uint8Array> {
  if (existsSync(recording)) {
    try {
      yield* createReadStream(recording, { signal: context.signal }) as AsyncIterable<Uint8Array>;
    } catch (cause) {
      throw new MezError("NOT_FOUND", `${recording} cannot be read: ${messageOf(cause)}`, { cause });
    }
    return;
  }
  if (!UUID.test(recording)) {
    throw new MezError(
      "NOT_FOUND",
      `there is no file "${recording.slice(0, 200)}", and it is not a session id; "mezctl recordings ls" lists them`,
    );
  }
  const { RecordingServiceService } = await import("../../proto/gen/mezite/recordings/v1/recordings.js");
  const client = await context.rpc(RecordingServiceService);
  for await (const { data } of client.downloadRecording({ id: recording }, { signal: context.signal })) yield data;
}

function warnIfTooSmall({ isTerminal, stdout, output }: CommandContext, { width, height }: CastHeader): void {
  if (!isTerminal || stdout.columns === undefined || stdout.rows === undefined) return;
  if (stdout.columns >= width && stdout.rows >= height) return;
  output.note(`recorded at ${width}×${height}; this terminal has ${stdout.columns}×${stdout.rows}, so lines may break elsewhere`);
}

async function show({ stdout }: CommandContext, { kind, text }: CastEvent): Promise<void> {
  if (kind === "o") await write(stdout, text);
}

function sleep(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      clearTimeout(timer);
      reject(signal.reason as Error);
    };
    if (signal.aborted) return reject(signal.reason as Error);
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", stop);
      resolve();
    }, milliseconds);
    signal.addEventListener("abort", stop, { once: true });
  });
}
