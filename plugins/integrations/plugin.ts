import { definePlugin } from "../../core/plugin/contract.js";
import { DATABASE } from "../../core/plugin/database.js";
import { PROCESS } from "../../core/plugin/process.js";
import { INTEGRATION } from "../../core/ports/integration.js";
import { SPIFFE_AUTHORITY } from "../ca/api.js";
import { JWT_ISSUER } from "../spiffe-bundle/api.js";
import { INTEGRATION_RPC, integrationHandlers } from "./integration-rpc.js";
import { IntegrationService } from "./integration-service.js";

export default definePlugin({
  register(host) {
    host.rpc(INTEGRATION_RPC, (resolve) => {
      const { clusterName: name } = resolve(PROCESS);
      const authority = resolve(SPIFFE_AUTHORITY);
      const issuer = resolve.optional(JWT_ISSUER)?.url ?? null;
      return integrationHandlers(
        new IntegrationService({
          database: resolve(DATABASE),
          integrations: resolve.latePort(INTEGRATION),
          cluster: () => ({ name, trustDomain: authority.trustDomain(), issuer }),
        }),
      );
    });
  },
});
