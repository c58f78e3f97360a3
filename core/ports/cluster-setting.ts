import type { ClusterSetting, SettingValue } from "../plugin/cluster-settings.js";
import type { Port } from "../plugin/contract.js";

/** A setting that an enabled plugin owns, and what the config file of this process says of it. */
export interface DeclaredSetting {
  readonly setting: ClusterSetting;
  /** `null` for a setting that the file does not know. */
  readonly file: {
    /** Where it stands there: `plugins.locks.config.mode`. */
    readonly key: string;
    readonly value: SettingValue;
  } | null;
}

/** Filled under the key of the setting. Where nothing lists them, settings have their defaults. */
export const CLUSTER_SETTING: Port<DeclaredSetting> = { id: "cluster-setting", version: 1, cardinality: "zero-or-more" };
