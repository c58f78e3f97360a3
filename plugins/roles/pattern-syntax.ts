import { MezError } from "../../core/errors/error.js";

/** Tests one Unicode code point. */
export type CharacterTest = (code: number) => boolean;

/** A pattern as it was read. */
export type Tree =
  | { readonly kind: "character"; readonly test: CharacterTest }
  | { readonly kind: "sequence"; readonly parts: readonly Tree[] }
  | { readonly kind: "choice"; readonly branches: readonly Tree[] }
  | { readonly kind: "repeat"; readonly part: Tree; readonly min: number; readonly max: number };

/**
 * Reads a regular expression `^…$`. What it understands is listed at `compilePattern`.
 * @throws {MezError} `INVALID_ARGUMENT`
 */
export function readPattern(source: string): Tree {
  if (source.length > MAX_PATTERN_LENGTH) throw refusedPattern(source, `is longer than ${MAX_PATTERN_LENGTH} characters`);
  if (!source.startsWith("^") || !source.endsWith("$")) throw refusedPattern(source, "has to begin with ^ and end with $");
  return new PatternReader(source).read();
}

/** The code point of the first character of a text. */
export function codeOf(character: string): number {
  return character.codePointAt(0) ?? 0;
}

/** An error that quotes the pattern; `why` continues the sentence. */
export function refusedPattern(source: string, why: string): MezError {
  const shown = source.length > 60 ? `${source.slice(0, 60)}…` : source;
  return new MezError("INVALID_ARGUMENT", `regular expression "${shown}" ${why}`);
}

// --- internal ---

const MAX_PATTERN_LENGTH = 256;
const MAX_REPEAT = 1000;
const CLASSES: Readonly<Record<string, CharacterTest>> = {
  d: (code) => code >= 48 && code <= 57,
  w: (code) => (code >= 48 && code <= 57) || (code >= 65 && code <= 90) || (code >= 97 && code <= 122) || code === 95,
  s: (code) => code === 32 || (code >= 9 && code <= 13),
};

/** Reads the text between `^` and `$` by recursive descent. */
class PatternReader {
  readonly #characters: readonly string[];
  #at = 0;

  constructor(private readonly source: string) {
    this.#characters = [...source.slice(1, -1)];
    // `^a\$` ends in an escaped dollar sign, not in an anchor.
    if (/(?<!\\)(?:\\\\)*\\$/.test(source.slice(0, -1))) throw refusedPattern(source, "has to end with an unescaped $");
  }

  read(): Tree {
    const tree = this.#choice(0);
    if (this.#at < this.#characters.length) throw this.#error('has a ")" without "("');
    return tree;
  }

  #choice(depth: number): Tree {
    if (depth > 20) throw this.#error("nests more than 20 groups");
    const branches = [this.#sequence(depth)];
    while (this.#take("|")) branches.push(this.#sequence(depth));
    return branches.length === 1 ? branches[0]! : { kind: "choice", branches };
  }

  #sequence(depth: number): Tree {
    const parts: Tree[] = [];
    while (this.#at < this.#characters.length && this.#peek() !== "|" && this.#peek() !== ")")
      parts.push(this.#repeat(this.#atom(depth)));
    return { kind: "sequence", parts };
  }

  #repeat(part: Tree): Tree {
    let range: readonly [number, number] | undefined;
    if (this.#take("*")) range = [0, Number.POSITIVE_INFINITY];
    else if (this.#take("+")) range = [1, Number.POSITIVE_INFINITY];
    else if (this.#take("?")) range = [0, 1];
    else if (this.#take("{")) range = this.#braces();
    if (!range) return part;
    this.#take("?"); // lazy or greedy is the same for a match of the whole text
    if (["*", "+", "?", "{"].includes(this.#peek())) throw this.#error("repeats a repetition; put it in a group");
    return { kind: "repeat", part, min: range[0], max: range[1] };
  }

  #braces(): readonly [number, number] {
    const end = this.#characters.indexOf("}", this.#at);
    const match = /^(\d{1,4})(,(\d{0,4}))?$/.exec(end < 0 ? "" : this.#characters.slice(this.#at, end).join(""));
    if (!match) throw this.#error("has a { that is no repetition such as {2,5}; write \\{ for the character");
    this.#at = end + 1;
    const min = Number(match[1]);
    const max = match[2] === undefined ? min : match[3] === "" ? Number.POSITIVE_INFINITY : Number(match[3]);
    if (min > max || min > MAX_REPEAT || (max > MAX_REPEAT && max !== Number.POSITIVE_INFINITY))
      throw this.#error("has a repetition out of range");
    return [min, max];
  }

  #atom(depth: number): Tree {
    const character = this.#next();
    switch (character) {
      case "(": {
        if (this.#take("?") && !this.#take(":")) throw this.#error("uses look-around or named groups");
        const inner = this.#choice(depth + 1);
        if (!this.#take(")")) throw this.#error('has a "(" without ")"');
        return inner;
      }
      case "[":
        return { kind: "character", test: this.#set() };
      case ".":
        return { kind: "character", test: (code) => code !== 10 && code !== 13 };
      case "\\":
        return { kind: "character", test: this.#escape() };
      case "^":
      case "$":
        throw this.#error(`has "${character}" inside; write \\${character} for the character`);
      case "*":
      case "+":
      case "?":
      case "{":
        throw this.#error(`repeats nothing with "${character}"`);
      default:
        return { kind: "character", test: exactly(codeOf(character)) };
    }
  }

  #escape(): CharacterTest {
    const letter = this.#next();
    const known = CLASSES[letter.toLowerCase()];
    if (known) return letter === letter.toLowerCase() ? known : (code) => !known(code);
    if (/[\p{L}\p{N}]/u.test(letter)) throw this.#error(`uses \\${letter}, which is not understood here`);
    return exactly(codeOf(letter));
  }

  #set(): CharacterTest {
    const negated = this.#take("^");
    const tests: CharacterTest[] = [];
    while (!this.#take("]")) {
      const first = this.#next();
      if (first === "\\" && CLASSES[this.#peek().toLowerCase()]) {
        tests.push(this.#escape());
        continue;
      }
      const low = codeOf(first === "\\" ? this.#literalEscape() : first);
      const isRange = this.#peek() === "-" && this.#characters[this.#at + 1] !== "]";
      if (!isRange) {
        tests.push(exactly(low));
        continue;
      }
      this.#next();
      const last = this.#next();
      const high = codeOf(last === "\\" ? this.#literalEscape() : last);
      if (high < low) throw this.#error("has a range that runs backwards");
      tests.push((code) => code >= low && code <= high);
    }
    return (code) => tests.some((test) => test(code)) !== negated;
  }

  #literalEscape(): string {
    const letter = this.#next();
    if (/[\p{L}\p{N}]/u.test(letter)) throw this.#error(`uses \\${letter}, which is not understood here`);
    return letter;
  }

  #peek(): string {
    return this.#characters[this.#at] ?? "";
  }

  #next(): string {
    const character = this.#characters[this.#at++];
    if (character === undefined) throw this.#error("ends too early");
    return character;
  }

  #take(character: string): boolean {
    if (this.#peek() !== character) return false;
    this.#at++;
    return true;
  }

  #error(why: string): MezError {
    return refusedPattern(this.source, `${why} (near character ${Math.min(this.#at + 1, this.source.length)})`);
  }
}

function exactly(wanted: number): CharacterTest {
  return (code) => code === wanted;
}
