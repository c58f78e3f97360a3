/**
 * Lets through what draws on a terminal, and takes out what makes it answer, copy, resize or load something. A recording
 * holds what some program wrote at some time, and whoever plays it has not chosen to run that program: what the terminal
 * answers would be typed into their shell.
 * @see ECMA-48; xterm control sequences
 */
export class HarmlessOutput {
  #rest = "";

  /** @param text The next piece; sequences may be split over pieces. */
  pass(text: string): string {
    const all = this.#rest + text;
    const cut = all.search(UNFINISHED);
    const isHeld = cut >= 0 && all.length - cut < MAX_SEQUENCE_CHARACTERS;
    this.#rest = isHeld ? all.slice(cut) : "";
    return (cut < 0 ? all : all.slice(0, cut)).replace(SEQUENCE, (sequence) => (isHarmless(sequence) ? sequence : ""));
  }
}

// --- internal ---

const MAX_SEQUENCE_CHARACTERS = 8192;
const ESC = "\u001b";
const BEL = "\u0007";
const TEXT = `[^${ESC}${BEL}]*`;
/** Control strings (ESC and one of ] P _ ^ X), control sequences (ESC [), other escapes, and single controls that are never harmless. */
const SEQUENCE = new RegExp(
  `${ESC}[\\]P_^X]${TEXT}(?:${BEL}|${ESC}\\\\)|${ESC}\\[[0-?]*[ -/]*[@-~]|${ESC}[ -/]*[0-~]|[\u0005\u0080-\u009f]`,
  "g",
);
const UNFINISHED = new RegExp(`${ESC}(?:[\\]P_^X]${TEXT}${ESC}?|\\[[0-?]*[ -/]*|[ -/]*)$`);
/** Finals of control sequences that ask for an answer (c, n, p after $, q after >, x) or move the window (t). */
const ASKS = new RegExp(`^${ESC}\\[(?:[0-?]*[cntx]|[0-?]*\\$p|>[0-?]*q)$`);
/** Titles and links. */
const HARMLESS_STRING = new RegExp(`^${ESC}\\][0128];`);

function isHarmless(sequence: string): boolean {
  const [first, second = ""] = sequence;
  if (first !== ESC) return false;
  if ("]P_^X".includes(second) && sequence.length > 2) return HARMLESS_STRING.test(sequence);
  return second !== "Z" && !ASKS.test(sequence);
}
