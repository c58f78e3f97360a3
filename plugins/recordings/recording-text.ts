import { StringDecoder } from "node:string_decoder";
import { TerminalText } from "./terminal-text.js";

/** Longest text to search for, in characters. */
export const MAX_SEARCH_CHARACTERS = 200;

/** Text as it is compared: in lower case, and with characters composed in one way. */
export function folded(text: string): string {
  return text.normalize("NFC").toLowerCase();
}

/**
 * The folded text of a recording in pieces. Each begins with the end of the one before, so that nothing that is searched
 * for is cut in two. What is no asciicast gives no text: recorders are not believed.
 */
export async function* textOf(cast: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  let piece = "";
  for await (const text of linesOf(cast)) {
    piece += text;
    if (piece.length < PIECE_CHARACTERS) continue;
    const done = folded(piece);
    yield done;
    piece = done.slice(-OVERLAP_CHARACTERS);
  }
  if (piece !== "") yield folded(piece);
}

// --- internal ---

const PIECE_CHARACTERS = 256 * 1024;
/** Some characters become three when they are folded. */
const OVERLAP_CHARACTERS = 3 * MAX_SEARCH_CHARACTERS;
/** A piece of output is far shorter; what is longer is not from our recorder. */
const MAX_EVENT_CHARACTERS = 4 * 1024 * 1024;

async function* linesOf(cast: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new StringDecoder("utf8");
  const terminal = new TerminalText();
  let rest = "";
  for await (const bytes of cast) {
    const events = (rest + decoder.write(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength))).split("\n");
    rest = events.pop() ?? "";
    if (rest.length > MAX_EVENT_CHARACTERS) rest = "";
    let text = "";
    for (const event of events) text += terminal.add(outputOf(event));
    yield text;
  }
  yield terminal.add(outputOf(rest));
  yield terminal.end();
}

/** What an event shows; nothing for other events, the header and garbage. */
function outputOf(line: string): string {
  if (!line.startsWith("[")) return "";
  try {
    const event: unknown = JSON.parse(line);
    if (Array.isArray(event) && event[1] === "o" && typeof event[2] === "string") return event[2];
  } catch {
    // A line that is no event shows nothing.
  }
  return "";
}
