import { MezError } from "../../core/errors/error.js";
import { nearest } from "../../core/errors/suggestion.js";
import { allowsValue, type ClusterSetting, type SettingValue } from "../../core/plugin/cluster-settings.js";
import { formatDuration, parseDuration } from "../../core/time/duration.js";

/**
 * Reads a value as people write it: a word, a number, a duration, or the name of 0, such as `off`.
 * @throws {MezError} `INVALID_ARGUMENT` saying what would be right
 */
export function parseSettingValue(setting: ClusterSetting, text: string): SettingValue {
  const word = text.trim();
  const value = read(setting, word);
  if (value !== null && allowsValue(setting, value)) return value;
  const near = setting.type === "choice" ? nearest(word, setting.choices) : undefined;
  const hint = near === undefined ? "" : `; did you mean "${near}"?`;
  throw new MezError("INVALID_ARGUMENT", `${setting.key} cannot be "${printable(text)}"; use ${acceptedBy(setting)}${hint}`);
}

/** Writes a value the way `parseSettingValue` reads it. */
export function formatSettingValue(setting: ClusterSetting, value: SettingValue): string {
  if (setting.type === "choice") return String(value);
  if (value === 0 && setting.zero !== undefined) return setting.zero;
  return setting.type === "duration" ? formatDuration(Number(value)) : String(value);
}

/** What is allowed, in a sentence: `off, optional or required`; `off, or a duration from 1m to 7d`. */
export function acceptedBy(setting: ClusterSetting): string {
  switch (setting.type) {
    case "choice":
      return listed(setting.choices);
    case "duration":
      return `${orZero(setting.zero)}a duration from ${formatDuration(setting.minSeconds)} to ${formatDuration(setting.maxSeconds)}`;
    case "number":
      return `${orZero(setting.zero)}a whole number from ${setting.min} to ${setting.max}`;
  }
}

// --- internal ---

function read(setting: ClusterSetting, word: string): SettingValue | null {
  if (setting.type === "choice") return word;
  if (word === setting.zero || (setting.zero !== undefined && /^0[smhd]?$/.test(word))) return 0;
  if (setting.type === "number") return /^\d{1,15}$/.test(word) ? Number(word) : null;
  try {
    return parseDuration(word);
  } catch {
    return null;
  }
}

function listed(choices: readonly string[]): string {
  return choices.length < 2 ? choices.join() : `${choices.slice(0, -1).join(", ")} or ${choices.at(-1)}`;
}

function orZero(zero: string | undefined): string {
  return zero === undefined ? "" : `${zero}, or `;
}

function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, "?").slice(0, 64);
}
