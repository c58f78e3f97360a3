import { CLUSTER_SETTINGS } from "../../core/plugin/cluster-settings.js";
import { COLLECTIONS } from "../../core/plugin/collection.js";
import { definePlugin } from "../../core/plugin/contract.js";
import { LIVE_SESSIONS } from "../../core/plugin/live-sessions.js";
import { LOGGER } from "../../core/plugin/logger.js";
import { CLOCK, LEASES, PROCESS } from "../../core/plugin/process.js";
import { GUARD } from "../../core/ports/guard.js";
import { AUDIT_REPORTER } from "../audit/api.js";
import { AGENT_REGISTRATION } from "../nodes/api.js";
import { SESSION_RECORDER } from "../recordings/api.js";
import { ACCESS } from "../roles/api.js";
import { SESSION_REPORTER } from "../sessions/api.js";
import { NodeService } from "./node-service.js";
import { type NodeConfig, nodeSettings } from "./node-settings.js";
import { OsAccounts } from "./os-account.js";

export default definePlugin<NodeConfig>({
  register(host, config) {
    host.run(
      (resolve) =>
        new NodeService({
          settings: nodeSettings(config, resolve(PROCESS).authAddresses),
          registration: resolve(AGENT_REGISTRATION),
          access: resolve(ACCESS),
          guards: resolve.latePort(GUARD),
          accounts: new OsAccounts(resolve(CLOCK)),
          audit: resolve(AUDIT_REPORTER),
          recorder: resolve.optional(SESSION_RECORDER),
          reporter: resolve.optional(SESSION_REPORTER),
          collections: resolve(COLLECTIONS),
          cluster: resolve(CLUSTER_SETTINGS),
          liveSessions: resolve(LIVE_SESSIONS),
          leases: resolve(LEASES),
          logger: resolve(LOGGER),
          clock: resolve(CLOCK),
        }),
    );
  },
});
