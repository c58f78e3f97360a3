import type { Caller } from "./caller.js";
import type { CollectionKind } from "./collection.js";
import type { ServiceToken } from "./contract.js";

/** What a setting may hold. Durations are seconds. */
export type SettingValue = string | number;

interface SettingBase<T extends SettingValue> {
  /** Snake case: `session_idle_timeout`. */
  readonly key: string;
  /** One line: what it decides. */
  readonly description: string;
  readonly default: T;
}

/** One of a few words. */
export interface ChoiceSetting<Choice extends string = string> extends SettingBase<Choice> {
  readonly type: "choice";
  readonly choices: readonly Choice[];
}

/** Whole seconds, written `90s`, `15m` or `1h30m`. */
export interface DurationSetting extends SettingBase<number> {
  readonly type: "duration";
  readonly minSeconds: number;
  readonly maxSeconds: number;
  /** When given, 0 is allowed as well and is called so: `off`. */
  readonly zero?: string;
}

/** A whole number. */
export interface NumberSetting extends SettingBase<number> {
  readonly type: "number";
  readonly min: number;
  readonly max: number;
  /** When given, 0 is allowed as well and is called so: `no limit`. */
  readonly zero?: string;
}

/** A setting of the whole cluster that can be changed while it runs: data alone, declared in the `api.ts` of its owner. */
export type ClusterSetting = ChoiceSetting | DurationSetting | NumberSetting;

/** The settings as they are now. The same in every process, and never waits. */
export interface ClusterSettings {
  /**
   * What was set with `mezctl config set`, else what the file of the auth service says, else the default. A value that
   * this release does not allow, as one set by a newer release, counts as the default.
   */
  get<T extends SettingValue>(setting: SettingBase<T>): T;
  /** Calls `listener` after each change of this one setting, with what holds now. Returns the way to stop. */
  onChange<T extends SettingValue>(setting: SettingBase<T>, listener: (value: T) => void): () => void;
}

/** In every role. The core's own, so no manifest lists it. */
export const CLUSTER_SETTINGS: ServiceToken<ClusterSettings> = { id: "core.cluster-settings", version: 1 };

/** The effective value of every setting, by key. */
export const CLUSTER_SETTINGS_COLLECTION: CollectionKind<SettingValue> = {
  name: "cluster-settings",
  version: 1,
  visibleTo: (caller: Caller) => caller.kind === "agent" && (caller.role === "proxy" || caller.role === "node"),
};

/** Whether `value` is one that the setting allows. */
export function allowsValue(setting: ClusterSetting, value: unknown): value is SettingValue {
  switch (setting.type) {
    case "choice":
      return setting.choices.some((choice) => choice === value);
    case "duration":
      return isWithin(value, setting.minSeconds, setting.maxSeconds, setting.zero);
    case "number":
      return isWithin(value, setting.min, setting.max, setting.zero);
  }
}

// --- internal ---

function isWithin(value: unknown, min: number, max: number, zero: string | undefined): boolean {
  return (
    Number.isSafeInteger(value) && (((value as number) >= min && (value as number) <= max) || (value === 0 && zero !== undefined))
  );
}
