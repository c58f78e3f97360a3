import { createReadStream, existsSync } from "node:fs";
import { write } from "../../core/cli/output.js";
import { MezError, messageOf } from "../../core/errors/error.js";
import type { CommandContext } from "../../core/plugin/commands.js";
import { type CastEvent, type CastHeader, readCast } from "./asciicast.js";
import { HarmlessOutput } from "./harmless-output.js";
import { Player } from "./player.js";
import { PLAYER_KEYS, parseKeys } from "./player-keys.js";

export interface PlayInput {
  /** Session id, or a file. */
  readonly recording: string;
  readonly speed: string;
  /** Seconds. */
  readonly maxIdle: number | undefined;
  /** Seconds. */
  readonly seek: number | undefined;
}

/**
 * `msh play`: shows a recording with its pauses on a terminal, where keys lead through it, and all of it at once elsewhere.
 * @returns 130 after Ctrl-C.
 * @throws {MezError} `NOT_FOUND`, `INVALID_DOCUMENT`
 */
export async function play(context: CommandContext, input: PlayInput): Promise<number | undefined> {
  const speed = parseSpeed(input.speed);
  const events = eventsOf(context, input.recording);
  if (!context.isTerminal) {
    for await (const { kind, text } of events) if (kind === "o") await write(context.stdout, text);
    return undefined;
  }
  const output = new HarmlessOutput();
  const player = new Player(events, {
    show: (text) => write(context.stdout, output.pass(text)),
    speed,
    maxIdleSeconds: input.maxIdle ?? Number.POSITIVE_INFINITY,
    fromSeconds: input.seek ?? 0,
    signal: context.signal,
  });
  const keys = listen(context, player);
  try {
    return await Promise.race([player.run().then(() => undefined), keys.left]);
  } finally {
    keys.stop();
    // What was played may have left colours on, the cursor hidden or the other screen shown.
    await write(context.stdout, "\x1b[0m\x1b[?25h\x1b[?1049l\n");
  }
}

// --- internal ---

const INTERRUPTED = 130;

/** Follows the keys of a terminal; where standard input is none, there are no keys. */
function listen({ stdin, output }: CommandContext, player: Player): { readonly left: Promise<number | undefined>; stop(): void } {
  if (stdin.isTTY !== true || stdin.setRawMode === undefined) return { left: new Promise(() => {}), stop: () => {} };
  output.note(PLAYER_KEYS);
  let onData = (_chunk: Buffer | string): void => {};
  const left = new Promise<number | undefined>((resolve) => {
    onData = (chunk) => {
      for (const action of parseKeys(chunk.toString())) {
        if (action.kind === "interrupt") resolve(INTERRUPTED);
        else if (action.kind === "quit") resolve(undefined);
        player.press(action);
      }
    };
  });
  stdin.setRawMode(true);
  stdin.on("data", onData).resume();
  const stop = (): void => {
    stdin.off("data", onData).pause();
    stdin.setRawMode?.(false);
  };
  return { left, stop };
}

async function* eventsOf(context: CommandContext, recording: string): AsyncGenerator<CastEvent> {
  for await (const part of readCast(source(context, recording), recording)) {
    if ("width" in part) warnIfTooSmall(context, part);
    else yield part;
  }
}

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
