import type { AuditAuthor } from "../../core/plugin/audit-author.js";
import { CLUSTER_SETTINGS_COLLECTION, type SettingValue } from "../../core/plugin/cluster-settings.js";
import type { CollectionSource } from "../../core/plugin/collection.js";
import type { PortView } from "../../core/plugin/contract.js";
import type { Database, Transaction } from "../../core/plugin/database.js";
import type { DeclaredSetting } from "../../core/ports/cluster-setting.js";
import type { Clock } from "../../core/time/clock.js";
import { deleteSetting, findSettings, saveSetting } from "./setting-repository.js";
import { findDeclared, type SettingState, stateOf } from "./setting-state.js";
import { formatSettingValue, parseSettingValue } from "./setting-value.js";

export interface SettingServiceParts {
  readonly database: Database;
  readonly clock: Clock;
  readonly declared: Pick<PortView<DeclaredSetting>, "all">;
}

/** The use cases of settings, one transaction each. */
export class SettingService implements CollectionSource<SettingValue> {
  constructor(private readonly parts: SettingServiceParts) {}

  /** In the order of their keys. */
  async list(): Promise<readonly SettingState[]> {
    const stored = await this.parts.database.read(findSettings);
    return this.parts.declared
      .all()
      .map((declared) => stateOf(declared, stored.get(declared.setting.key)))
      .sort((left, right) => (left.setting.key < right.setting.key ? -1 : 1));
  }

  /** @throws {MezError} `SETTING_UNKNOWN` */
  async get(key: string): Promise<SettingState> {
    const declared = findDeclared(this.parts.declared.all(), key);
    return stateOf(declared, (await this.parts.database.read(findSettings)).get(key));
  }

  /**
   * Resolves when the change is durable; every process hears of it.
   * @param text As people write it.
   * @throws {MezError} `SETTING_UNKNOWN`, `INVALID_ARGUMENT`
   */
  async set(key: string, text: string, author: AuditAuthor): Promise<SettingState> {
    const declared = findDeclared(this.parts.declared.all(), key);
    const value = formatSettingValue(declared.setting, parseSettingValue(declared.setting, text));
    return this.#change(declared, author, async (tx) => {
      const stored = { key, value, updatedBy: author.userName ?? "", updatedAt: this.parts.clock.now() };
      await saveSetting(tx.em, stored);
      return stateOf(declared, stored);
    });
  }

  /**
   * Forgets what was set. A setting that was not set stays as it is.
   * @throws {MezError} `SETTING_UNKNOWN`
   */
  async unset(key: string, author: AuditAuthor): Promise<SettingState> {
    const declared = findDeclared(this.parts.declared.all(), key);
    return this.#change(declared, author, async (tx) => {
      await deleteSetting(tx.em, key);
      return stateOf(declared, undefined);
    });
  }

  async entries(): Promise<readonly (readonly [string, SettingValue])[]> {
    return (await this.list()).map(({ setting, value }) => [setting.key, value] as const);
  }

  /** Tells everybody what holds now: plugins and their part of the file may have changed while others watched. */
  async publish(): Promise<void> {
    await this.parts.database.transaction(async (tx) => {
      const held = new Map(await this.entries());
      for (const [key, value] of held) tx.put(CLUSTER_SETTINGS_COLLECTION, key, value);
      for (const key of (await findSettings(tx.em)).keys()) if (!held.has(key)) tx.remove(CLUSTER_SETTINGS_COLLECTION, key);
    });
  }

  async #change(
    declared: DeclaredSetting,
    author: AuditAuthor,
    change: (tx: Transaction) => Promise<SettingState>,
  ): Promise<SettingState> {
    const { key } = declared.setting;
    return this.parts.database.transaction(async (tx) => {
      const before = stateOf(declared, (await findSettings(tx.em)).get(key));
      const after = await change(tx);
      tx.put(CLUSTER_SETTINGS_COLLECTION, key, after.value);
      if (after.value !== before.value || after.source !== before.source) audit(tx, before, after, author);
      return after;
    });
  }
}

// --- internal ---

function audit(tx: Transaction, before: SettingState, after: SettingState, author: AuditAuthor): void {
  tx.audit({
    ...author,
    type: "config.updated",
    resourceType: "setting",
    resourceName: after.setting.key,
    metadata: {
      old: formatSettingValue(before.setting, before.value),
      new: formatSettingValue(after.setting, after.value),
      old_source: before.source,
      new_source: after.source,
    },
  });
}
