import { definePlugin } from "../../../core/plugin/contract.js";
import { INTEGRATION } from "../../../core/ports/integration.js";
import { AwsOidcIntegration } from "./aws-oidc-integration.js";
import type { AwsPartition } from "./federation.js";

interface Config {
  readonly partition: AwsPartition;
  readonly thumbprints: readonly string[];
}

export default definePlugin<Config>({
  register(host, config) {
    host.implement(INTEGRATION, "aws-oidc", () => new AwsOidcIntegration(config));
  },
});
