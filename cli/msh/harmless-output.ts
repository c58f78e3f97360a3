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
/**
 * Control strings (ESC and one of ] P _ ^ X), control sequences (ESC [), other escapes, an ESC that begins none of these as
 * it stands, and single controls that are never harmless. Terminals obey a line feed inside of a sequence and go on with it,
 * and some take any ESC for the end of a string: an ESC gets through only at the head of a sequence that was read whole.
 */
const SEQUENCE = new RegExp(
  `${ESC}[\\]P_^X]${TEXT}(?:${BEL}|${ESC}\\\\)|${ESC}\\[[0-?]*[ -/]*[@-~]|${ESC}[ -/]*[0-~]|${ESC}|[\u0005\u0080-\u009f]`,
  "g",
);
const UNFINISHED = new RegExp(`${ESC}(?:[\\]P_^X]${TEXT}${ESC}?|\\[[0-?]*[ -/]*|[ -/]*)$`);
/** Control sequences that move the cursor, edit and erase what is shown, colour it, set margins and modes of the screen, and shape the cursor. */
const DRAWS = new RegExp(`^${ESC}\\[(?:[0-9:;]*[@A-MPSTXZ\`abdefgmrsu]|4[hl]|\\?[0-9;]*[JKhlrs]|[0-9;]* [q@A]|!p)$`);
/** Modes in which a terminal writes by itself: of the mouse, the focus, the size and the colours. */
const REPORTS = new RegExp(`^${ESC}\\[\\?(?:[0-9]*;)*0*(?:9|100[0-7]|101[56]|2031|2048)(?:;[0-9]*)*h$`);
/** Titles and links. */
const HARMLESS_STRING = new RegExp(`^${ESC}\\][0128];[^\u0000-\u001f\u007f-\u009f]*(?:${BEL}|${ESC}\\\\)$`);

function isHarmless(sequence: string): boolean {
  const [first, second = ""] = sequence;
  if (first !== ESC) return false;
  if (second === "[") return DRAWS.test(sequence) && !REPORTS.test(sequence);
  if (second === "]") return HARMLESS_STRING.test(sequence);
  // Z asks for the kind of terminal; after % other bytes count as controls.
  return !["", "P", "_", "^", "X", "Z", "%"].includes(second);
}
