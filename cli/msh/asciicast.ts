import { MezError } from "../../core/errors/error.js";

/** One moment of a recording. */
export interface CastEvent {
  /** Since the beginning. */
  readonly seconds: number;
  /** `o` is output, `i` input, `r` a new size. */
  readonly kind: string;
  readonly text: string;
}

export interface CastHeader {
  readonly width: number;
  readonly height: number;
}

const MAX_LINE_CHARACTERS = 64 * 1024 * 1024;

/**
 * Reads an asciicast as it comes in. The first value is the header. A last line that was cut off by a crash is left
 * out; any other damage is an error.
 * @param name For messages.
 * @throws {MezError} `INVALID_DOCUMENT` naming the line
 * @see asciicast file format, version 2
 */
export async function* readCast(
  chunks: AsyncIterable<Uint8Array | string>,
  name: string,
): AsyncGenerator<CastHeader | CastEvent> {
  let number = 0;
  for await (const { line, isWhole } of linesOf(chunks, name)) {
    number++;
    const value = parseLine(line);
    if (value === undefined && !isWhole && number > 1) return;
    if (number === 1) yield headerOf(value, name);
    else if (line.trim() !== "") yield eventOf(value, name, number);
  }
  if (number === 0) throw new MezError("INVALID_DOCUMENT", `${name} is empty`);
}

// --- internal ---

async function* linesOf(
  chunks: AsyncIterable<Uint8Array | string>,
  name: string,
): AsyncGenerator<{ readonly line: string; readonly isWhole: boolean }> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of chunks) {
    rest += typeof chunk === "string" ? chunk : decoder.decode(chunk, { stream: true });
    const lines = rest.split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) yield { line, isWhole: true };
    if (rest.length > MAX_LINE_CHARACTERS)
      throw new MezError("INVALID_DOCUMENT", `${name} has a line without end; it is no recording`);
  }
  rest += decoder.decode();
  if (rest !== "") yield { line: rest, isWhole: false };
}

function parseLine(line: string): unknown {
  try {
    return JSON.parse(line) as unknown;
  } catch {
    return undefined;
  }
}

function headerOf(value: unknown, name: string): CastHeader {
  const header = value as { version?: unknown; width?: unknown; height?: unknown } | null | undefined;
  if (header?.version !== 2 || typeof header.width !== "number" || typeof header.height !== "number") {
    throw new MezError("INVALID_DOCUMENT", `${name} is not an asciicast of version 2`);
  }
  return { width: header.width, height: header.height };
}

function eventOf(value: unknown, name: string, line: number): CastEvent {
  const [seconds, kind, text] = Array.isArray(value) ? (value as unknown[]) : [];
  if (typeof seconds !== "number" || typeof kind !== "string" || typeof text !== "string") {
    throw new MezError("INVALID_DOCUMENT", `${name}:${line}: not an event of an asciicast`, { fields: { line } });
  }
  return { seconds, kind, text };
}
