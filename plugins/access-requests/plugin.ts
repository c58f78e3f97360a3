import { CLUSTER_SETTINGS } from "../../core/plugin/cluster-settings.js";
import { COLLECTIONS } from "../../core/plugin/collection.js";
import { definePlugin } from "../../core/plugin/contract.js";
import { DATABASE } from "../../core/plugin/database.js";
import { DUTIES } from "../../core/plugin/duties.js";
import { LOGGER } from "../../core/plugin/logger.js";
import { once } from "../../core/plugin/once.js";
import { CLOCK, PROCESS } from "../../core/plugin/process.js";
import type { Secret } from "../../core/plugin/secret.js";
import { parseWebhook } from "../../core/plugin/signed-post.js";
import { Sweeper } from "../../core/plugin/sweeper.js";
import { CLUSTER_SETTING } from "../../core/ports/cluster-setting.js";
import { GUARD } from "../../core/ports/guard.js";
import { USER_DATA } from "../../core/ports/user-data.js";
import { parseDuration } from "../../core/time/duration.js";
import { NODES } from "../nodes/api.js";
import { ACCESS, GRANTS_COLLECTION, ROLES_COLLECTION, USERS_COLLECTION } from "../roles/api.js";
import { ACCESS_REQUEST_APPROVALS } from "./api.js";
import { CreateAccessRequests } from "./migrations/001-access-requests.js";
import { NOTIFICATION_ENTITIES } from "./notification-repository.js";
import { Notifier } from "./notifier.js";
import { REQUEST_ENTITIES } from "./request-repository.js";
import { REQUEST_RPC, requestHandlers } from "./request-rpc.js";
import { RequestService } from "./request-service.js";

interface Config {
  readonly default_ttl: string;
  readonly max_ttl: string;
  readonly pending_ttl: string;
  readonly webhook?: { readonly url: string; readonly secret: Secret };
}

export default definePlugin<Config>({
  register(host, config) {
    const lifetimes = {
      defaultTtlSeconds: parseDuration(config.default_ttl),
      maxTtlSeconds: parseDuration(config.max_ttl),
      pendingTtlSeconds: parseDuration(config.pending_ttl),
    };
    const target = config.webhook === undefined ? null : parseWebhook("plugins.access-requests.config.webhook", config.webhook);
    const notifier =
      target === null
        ? null
        : once((resolve) => {
            const { clusterName } = resolve(PROCESS);
            return new Notifier({
              database: resolve(DATABASE),
              clock: resolve(CLOCK),
              logger: resolve(LOGGER),
              duties: resolve(DUTIES),
              clusterName,
              target,
            });
          });
    const service = once((resolve) => {
      const collections = resolve(COLLECTIONS);
      return new RequestService({
        ...{ database: resolve(DATABASE), clock: resolve(CLOCK), settings: resolve(CLUSTER_SETTINGS), access: resolve(ACCESS) },
        users: collections.of(USERS_COLLECTION),
        roles: collections.of(ROLES_COLLECTION),
        nodes: collections.of(NODES),
        guards: resolve.latePort(GUARD),
        lifetimes,
        announce: async (...step) => notifier?.(resolve).announce(...step),
      });
    });

    host.implement(CLUSTER_SETTING, ACCESS_REQUEST_APPROVALS.key, () => ({ setting: ACCESS_REQUEST_APPROVALS, file: null }));
    host.store([...REQUEST_ENTITIES, ...NOTIFICATION_ENTITIES], [{ name: "001-access-requests", class: CreateAccessRequests }]);
    host.publish(GRANTS_COLLECTION, service);
    host.rpc(REQUEST_RPC, (resolve) => requestHandlers(service(resolve)));
    host.implement(USER_DATA, "access-requests", service);
    host.run(
      (resolve) =>
        new Sweeper({
          what: "access requests that are over",
          everyMs: 1000,
          sweep: () => service(resolve).sweep(),
          logger: resolve(LOGGER),
          duties: resolve(DUTIES),
        }),
    );
    if (notifier !== null) host.run(notifier);
  },
});
