/**
 * Makes lines of text from what a terminal was sent: without colours, titles and other sequences; what was rubbed out with
 * the backspace key is gone, what a carriage return goes back over stays as a line of its own. Where the cursor jumps, a
 * new line begins.
 */
export class TerminalText {
  /** A sequence whose end has not come yet. */
  #rest = "";
  #line = "";
  /** Where the cursor stands in the line. */
  #cursor = 0;

  /** @returns The lines that are complete, each with its line end; a very long one in pieces. */
  add(output: string): string {
    const text = this.#rest + output;
    const cut = UNFINISHED.exec(text);
    const end = cut !== null && text.length - cut.index <= MAX_SEQUENCE_CHARACTERS ? cut.index : text.length;
    this.#rest = text.slice(end);
    let done = "";
    for (const [token] of text.slice(0, end).matchAll(TOKENS)) done += this.#take(token);
    return done;
  }

  /** @returns What is left. */
  end(): string {
    this.#rest = "";
    return this.#takeLine();
  }

  #takeLine(): string {
    const line = this.#line;
    this.#line = "";
    this.#cursor = 0;
    return line;
  }

  #take(token: string): string {
    const first = token.charCodeAt(0);
    if (first >= 0x20 && first !== 0x7f) return this.#print(token);
    if (token === "\r\n" || token === "\n" || token === "\r") return this.#newLine();
    if (token === "\b") this.#cursor = Math.max(0, this.#cursor - 1);
    else if (token === "\t") return this.#print("\t");
    else if (first === ESCAPE && token[1] === "[") return this.#control(token);
    return "";
  }

  #print(text: string): string {
    this.#line = this.#line.slice(0, this.#cursor) + text + this.#line.slice(this.#cursor + text.length);
    this.#cursor += text.length;
    if (this.#line.length <= MAX_LINE_CHARACTERS) return "";
    return this.#takeLine();
  }

  #newLine(): string {
    const line = this.#takeLine();
    return line === "" ? "" : `${line}\n`;
  }

  /** @see ECMA-48, 8.3: CUU to CUP, HPA, VPA, ED, EL and DCH */
  #control(sequence: string): string {
    const count = Number.parseInt(sequence.slice(2), 10) || 1;
    switch (sequence.at(-1)) {
      case "C":
        return this.#print(this.#line.slice(this.#cursor, this.#cursor + count) || " ");
      case "D":
        this.#cursor = Math.max(0, this.#cursor - count);
        return "";
      case "K":
        if (sequence === "\x1b[K" || sequence === "\x1b[0K") this.#line = this.#line.slice(0, this.#cursor);
        return "";
      case "P":
        this.#line = this.#line.slice(0, this.#cursor) + this.#line.slice(this.#cursor + count);
        return "";
      case "A":
      case "B":
      case "E":
      case "F":
      case "G":
      case "H":
      case "d":
      case "f":
        return this.#newLine();
      default:
        return "";
    }
  }
}

// --- internal ---

const ESCAPE = 0x1b;
const MAX_LINE_CHARACTERS = 4096;
/** A title, or whatever else is meant for the terminal; what is longer is taken for text. */
const MAX_SEQUENCE_CHARACTERS = 64 * 1024;

/** Control sequences, strings for the terminal, other escapes, single control characters, text. Each way through is linear. */
const TOKENS =
  /\x1b\[[\x30-\x3f]*[\x20-\x2f]*[\x40-\x7e]|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[\x20-\x2f]*[\x30-\x7e]|\r\n|[\x00-\x1f\x7f]|[^\x00-\x1f\x7f]+/g;

/** The beginning of a sequence, or of a line end, at the end of a piece. */
const UNFINISHED = /(?:\r|\x1b(?:\[[\x30-\x3f]*[\x20-\x2f]*|[\]PX^_][^\x07\x1b]*\x1b?|[\x20-\x2f]*)?)$/;
