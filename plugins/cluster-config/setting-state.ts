import { isMezError, MezError } from "../../core/errors/error.js";
import { nearest } from "../../core/errors/suggestion.js";
import { allowsValue, type ClusterSetting, type SettingValue } from "../../core/plugin/cluster-settings.js";
import type { DeclaredSetting } from "../../core/ports/cluster-setting.js";
import type { StoredSetting } from "./setting-repository.js";
import { acceptedBy, formatSettingValue, parseSettingValue } from "./setting-value.js";

/** A setting as it holds now, and why. */
export interface SettingState {
  readonly setting: ClusterSetting;
  readonly value: SettingValue;
  readonly source: "set" | "file" | "default";
  /** `null` unless it was set. */
  readonly stored: StoredSetting | null;
}

/**
 * The one order of precedence: what was set, else the file of the auth service, else the default. What was stored by a
 * newer release and is not allowed by this one counts as not set.
 */
export function stateOf({ setting, file }: DeclaredSetting, stored: StoredSetting | undefined): SettingState {
  const value = stored === undefined ? null : readStored(setting, stored);
  if (stored !== undefined && value !== null) return { setting, value, source: "set", stored };
  if (file !== null && file.value !== setting.default) return { setting, value: file.value, source: "file", stored: null };
  return { setting, value: setting.default, source: "default", stored: null };
}

/**
 * The declaration under a key, as someone typed it.
 * @throws {MezError} `SETTING_UNKNOWN` naming the nearest, and all
 */
export function findDeclared(declared: readonly DeclaredSetting[], key: string): DeclaredSetting {
  const found = declared.find(({ setting }) => setting.key === key);
  if (found !== undefined) return found;
  const keys = declared.map(({ setting }) => setting.key).sort();
  const near = nearest(key, keys);
  const hint = near === undefined ? "" : `did you mean "${near}"? `;
  throw new MezError("SETTING_UNKNOWN", `there is no setting "${printable(key)}"; ${hint}known are ${keys.join(", ")}`);
}

/**
 * Refuses a value of the config file that the setting does not allow.
 * @throws {MezError} `CONFIG_INVALID`
 */
export function requireAllowedFile({ setting, file }: DeclaredSetting): void {
  if (file === null || allowsValue(setting, file.value)) return;
  throw new MezError("CONFIG_INVALID", `${file.key} is ${formatSettingValue(setting, file.value)}; use ${acceptedBy(setting)}`);
}

// --- internal ---

function readStored(setting: ClusterSetting, { value }: StoredSetting): SettingValue | null {
  try {
    return parseSettingValue(setting, value);
  } catch (error) {
    if (isMezError(error, "INVALID_ARGUMENT")) return null;
    throw error;
  }
}

function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, "?").slice(0, 64);
}
