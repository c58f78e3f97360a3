import {
  allowsValue,
  CLUSTER_SETTINGS_COLLECTION,
  type ClusterSetting,
  type ClusterSettings,
  type SettingValue,
} from "../plugin/cluster-settings.js";
import type { Collection, Collections } from "../plugin/collection.js";

/** Reads settings from the live copy of their collection. */
export class SettingsView implements ClusterSettings {
  readonly #values: Collection<SettingValue>;

  constructor(collections: Pick<Collections, "of">) {
    this.#values = collections.of(CLUSTER_SETTINGS_COLLECTION);
  }

  get<T extends SettingValue>(setting: { readonly key: string; readonly default: T }): T {
    const value = this.#values.get(setting.key);
    return allowsValue(setting as unknown as ClusterSetting, value) ? (value as T) : setting.default;
  }

  onChange<T extends SettingValue>(
    setting: { readonly key: string; readonly default: T },
    listener: (value: T) => void,
  ): () => void {
    let last = this.get(setting);
    return this.#values.onChange((key) => {
      if (key !== setting.key) return;
      const value = this.get(setting);
      if (value === last) return;
      last = value;
      listener(value);
    });
  }
}
