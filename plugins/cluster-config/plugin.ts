import { CLUSTER_SETTINGS_COLLECTION } from "../../core/plugin/cluster-settings.js";
import { definePlugin } from "../../core/plugin/contract.js";
import { DATABASE } from "../../core/plugin/database.js";
import { LOGGER } from "../../core/plugin/logger.js";
import { once } from "../../core/plugin/once.js";
import { CLOCK } from "../../core/plugin/process.js";
import { CLUSTER_SETTING } from "../../core/ports/cluster-setting.js";
import { SECOND_FACTOR } from "./api.js";
import { CLUSTER_CONFIG_RPC, clusterConfigHandlers } from "./config-rpc.js";
import { FileSettings } from "./file-settings.js";
import { CreateClusterSettings } from "./migrations/001-cluster-settings.js";
import { SETTING_ENTITIES } from "./setting-repository.js";
import { SettingService } from "./setting-service.js";

export default definePlugin({
  register(host) {
    const isAuth = host.roles.has("auth");
    host.run((resolve) => new FileSettings(resolve.port(CLUSTER_SETTING), isAuth, resolve(LOGGER)));
    if (!isAuth) return;

    const service = once(
      (resolve) =>
        new SettingService({
          database: resolve(DATABASE),
          clock: resolve(CLOCK),
          declared: resolve.port(CLUSTER_SETTING),
        }),
    );
    host.implement(CLUSTER_SETTING, SECOND_FACTOR.key, () => ({ setting: SECOND_FACTOR, file: null }));
    host.store(SETTING_ENTITIES, [{ name: "001-cluster-settings", class: CreateClusterSettings }]);
    host.publish(CLUSTER_SETTINGS_COLLECTION, service);
    host.rpc(CLUSTER_CONFIG_RPC, (resolve) => clusterConfigHandlers(service(resolve)));
    host.run((resolve) => ({ start: () => service(resolve).publish() }));
  },
});
