import type { LogFields } from "../plugin/logger.js";
import { plainText } from "./plugin-text.js";

/**
 * A log line that an isolated plugin sent: cut, without characters that a terminal obeys, and without fields by which a line
 * says where it comes from.
 * @param fields JSON object.
 */
export function logLine(message: unknown, fields: unknown): readonly [message: string, fields: LogFields] {
  return [plainText(message, MAX_CHARACTERS), fieldsOf(String(fields).slice(0, MAX_CHARACTERS))];
}

/** A log line as it is sent: no longer than what `logLine` keeps of it. */
export function cutLogLine(message: unknown, fields: LogFields): { readonly message: string; readonly fields: string } {
  return {
    message: String(message).slice(0, MAX_CHARACTERS),
    fields: (JSON.stringify(fields) ?? "{}").slice(0, MAX_CHARACTERS + 1),
  };
}

// --- internal ---

const MAX_CHARACTERS = 4096;
const OWN_FIELDS: ReadonlySet<string> = new Set(["level", "time", "plugin", "msg"]);

function fieldsOf(json: string): LogFields {
  try {
    const parsed: unknown = JSON.parse(json);
    if (typeof parsed !== "object" || parsed === null) return {};
    return Object.fromEntries(Object.entries(parsed).filter(([key]) => !OWN_FIELDS.has(key)));
  } catch {
    return { fields: "(too long)" };
  }
}
