import { authorOf } from "../../core/plugin/audit-author.js";
import type { RpcHandlers, RpcService } from "../../core/plugin/rpc.js";
import {
  ClusterConfigServiceService,
  type Setting as SettingMessage,
} from "../../proto/gen/mezite/cluster_config/v1/cluster_config.js";
import type { SettingService } from "./setting-service.js";
import type { SettingState } from "./setting-state.js";
import { acceptedBy, formatSettingValue } from "./setting-value.js";

export const CLUSTER_CONFIG_RPC: RpcService<typeof ClusterConfigServiceService> = {
  name: "mezite.cluster_config.v1.ClusterConfigService",
  definition: ClusterConfigServiceService,
  permissions: { getSettings: "config:read", setSetting: "config:update", unsetSetting: "config:update" },
};

/** Answers the calls about the cluster's settings. */
export function clusterConfigHandlers(settings: SettingService): RpcHandlers<typeof ClusterConfigServiceService> {
  return {
    async getSettings({ key }) {
      const states = key === "" ? await settings.list() : [await settings.get(key)];
      return { settings: states.map(toMessage) };
    },
    async setSetting({ key, value }, call) {
      return { setting: toMessage(await settings.set(key, value, authorOf(call))) };
    },
    async unsetSetting({ key }, call) {
      return { setting: toMessage(await settings.unset(key, authorOf(call))) };
    },
  };
}

// --- internal ---

function toMessage({ setting, value, source, stored }: SettingState): SettingMessage {
  return {
    key: setting.key,
    value: formatSettingValue(setting, value),
    defaultValue: formatSettingValue(setting, setting.default),
    source,
    description: setting.description,
    accepts: acceptedBy(setting),
    updatedBy: stored?.updatedBy ?? "",
    updatedAt: stored?.updatedAt,
  };
}
