import { MezError, messageOf } from "../errors/error.js";
import type { Flag, InputValue } from "../plugin/commands.js";
import { Secret } from "../plugin/secret.js";
import { formatDuration, parseDuration } from "../time/duration.js";

/** A value as it was written, and where: `--ttl`, `MEZITE_TTL`, `argument <username>`. */
export interface WrittenValue {
  readonly text: string;
  readonly origin: string;
}

/** Longest value of a flag, operand or variable. */
export const MAX_VALUE_BYTES = 65_536;

/**
 * Refuses what no value may be: NUL bytes, more than 64 KiB.
 * @throws {MezError} `INVALID_ARGUMENT`
 */
export function checkText({ text, origin }: WrittenValue): void {
  if (text.includes("\0")) throw invalid(origin, "contains a NUL byte");
  if (Buffer.byteLength(text) > MAX_VALUE_BYTES) throw invalid(origin, "is longer than 64 KiB; put it in a file");
}

/**
 * Reads all that was written for one flag: one value, or several for a repeatable one.
 * @throws {MezError} `INVALID_ARGUMENT`, `INVALID_DURATION`; the message starts with the origin
 */
export function readFlag(flag: Flag, written: readonly WrittenValue[]): InputValue {
  const values = written.map((value) => readOne(flag, value));
  if (flag.type === "list") return values.flat() as string[];
  if (flag.type === "labels") return mergeLabels(written, values as Record<string, string>[]);
  return flag.repeatable ? (values as string[]) : values[0];
}

/** What a flag is when nothing was written for it. */
export function absentValue(flag: Flag): InputValue {
  if (flag.type === "boolean") return flag.default ?? false;
  if (!("default" in flag) || flag.default === undefined) return undefined;
  if (flag.type === "duration") return parseDuration(flag.default);
  return flag.repeatable ? ([flag.default] as string[]) : flag.default;
}

/**
 * Reads labels as the command line writes them: `env=staging,role=web`.
 * @throws {MezError} `INVALID_ARGUMENT`
 */
export function parseLabels({ text, origin }: WrittenValue): Record<string, string> {
  const labels = new Map<string, string>();
  for (const pair of text === "" ? [] : text.split(",")) {
    const cut = pair.indexOf("=");
    if (cut < 1) throw invalid(origin, `label ${quote(pair)} is not valid; write labels like env=staging,role=web`);
    const key = pair.slice(0, cut).trim();
    if (!LABEL_KEY.test(key)) {
      throw invalid(origin, `label key ${quote(key)} is not valid; use letters, digits and . _ - / : (at most 128)`);
    }
    if (labels.has(key)) throw invalid(origin, `label ${quote(key)} is given twice`);
    labels.set(key, pair.slice(cut + 1).trim());
  }
  return Object.fromEntries(labels);
}

// --- internal ---

const LABEL_KEY = /^[A-Za-z0-9._/:-]{1,128}$/;

function readOne(flag: Flag, written: WrittenValue): InputValue {
  const { text, origin } = written;
  checkText(written);
  if (text === "" && flag.allowEmpty !== true) throw invalid(origin, "is empty");
  switch (flag.type) {
    case "string":
      return text;
    case "secret":
      return new Secret(text);
    case "boolean":
      return readBoolean(written);
    case "duration":
      return readDuration(flag, written);
    case "integer":
      return readInteger(flag, written);
    case "list":
      return readList(written);
    case "labels":
      return parseLabels(written);
    case "enum":
      if (!flag.choices.includes(text)) throw invalid(origin, `${quote(text)} is unknown; use one of ${flag.choices.join(", ")}`);
      return text;
  }
}

function readBoolean({ text, origin }: WrittenValue): boolean {
  const word = text.toLowerCase();
  if (["true", "1", "yes", "on"].includes(word)) return true;
  if (["false", "0", "no", "off"].includes(word)) return false;
  throw invalid(origin, `${quote(text)} is neither true nor false`);
}

function readDuration(flag: Flag & { type: "duration" }, { text, origin }: WrittenValue): number {
  let seconds: number;
  try {
    seconds = parseDuration(text);
  } catch (error) {
    throw new MezError("INVALID_DURATION", `${origin}: ${messageOf(error)}`, { cause: error });
  }
  const { minSeconds = 1, maxSeconds = Number.MAX_SAFE_INTEGER } = flag;
  if (seconds < minSeconds) throw invalid(origin, `${text} is too short; use at least ${formatDuration(minSeconds)}`);
  if (seconds > maxSeconds) throw invalid(origin, `${text} is too long; use at most ${formatDuration(maxSeconds)}`);
  return seconds;
}

function readInteger(flag: Flag & { type: "integer" }, { text, origin }: WrittenValue): number {
  const value = Number(text);
  if (!/^-?\d{1,16}$/.test(text) || !Number.isSafeInteger(value)) throw invalid(origin, `${quote(text)} is not a whole number`);
  const { min = Number.MIN_SAFE_INTEGER, max = Number.MAX_SAFE_INTEGER } = flag;
  if (value < min) throw invalid(origin, `${text} is too small; use at least ${min}`);
  if (value > max) throw invalid(origin, `${text} is too large; use at most ${max}`);
  return value;
}

function readList({ text, origin }: WrittenValue): string[] {
  if (text === "") return [];
  const items = text.split(",").map((item) => item.trim());
  if (items.includes("")) throw invalid(origin, `list ${quote(text)} has an empty item; write it like a,b`);
  return items;
}

function mergeLabels(written: readonly WrittenValue[], parts: readonly Record<string, string>[]): Record<string, string> {
  const merged = new Map<string, string>();
  for (const [index, part] of parts.entries()) {
    for (const [key, value] of Object.entries(part)) {
      if (merged.has(key)) throw invalid(written[index]!.origin, `label ${quote(key)} is given twice`);
      merged.set(key, value);
    }
  }
  return Object.fromEntries(merged);
}

function quote(text: string): string {
  return `"${text.length > 40 ? `${text.slice(0, 40)}…` : text}"`;
}

function invalid(origin: string, what: string): MezError {
  return new MezError(
    "INVALID_ARGUMENT",
    `${origin}${what.startsWith("is ") || what.startsWith("contains ") ? " " : ": "}${what}`,
  );
}
