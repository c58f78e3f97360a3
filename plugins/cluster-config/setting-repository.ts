import { defineEntity, type EntityManager, p } from "@mikro-orm/core";
import type { Entities } from "../../core/plugin/database.js";

/** A setting that was set, written the way people write it. */
export interface StoredSetting {
  readonly key: string;
  readonly value: string;
  readonly updatedBy: string;
  readonly updatedAt: Date;
}

const ClusterSettingRecord = defineEntity({
  name: "ClusterSettingRecord",
  tableName: "cluster_settings",
  properties: { key: p.text().primary(), value: p.text(), updatedBy: p.text(), updatedAt: p.datetime() },
});

export const SETTING_ENTITIES: Entities = [ClusterSettingRecord];

/** Also those of plugins that are off. */
export async function findSettings(em: EntityManager): Promise<ReadonlyMap<string, StoredSetting>> {
  const records = await em.find(ClusterSettingRecord, {}, { orderBy: { key: "asc" } });
  return new Map(records.map(({ key, value, updatedBy, updatedAt }) => [key, { key, value, updatedBy, updatedAt }]));
}

/** Sets a setting, for the first time or anew. */
export async function saveSetting(em: EntityManager, setting: StoredSetting): Promise<void> {
  await em.upsert(ClusterSettingRecord, { ...setting });
}

/** Deletes a setting, so that its default counts again. */
export async function deleteSetting(em: EntityManager, key: string): Promise<void> {
  await em.nativeDelete(ClusterSettingRecord, { key });
}
