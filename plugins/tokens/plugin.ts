import { deriveJoinTokenKeys } from "../../core/join/join-token-keys.js";
import type { Resolve } from "../../core/plugin/contract.js";
import { definePlugin } from "../../core/plugin/contract.js";
import { DATABASE } from "../../core/plugin/database.js";
import { DUTIES } from "../../core/plugin/duties.js";
import { LOGGER } from "../../core/plugin/logger.js";
import { CLOCK } from "../../core/plugin/process.js";
import { Sweeper } from "../../core/plugin/sweeper.js";
import { JOIN_TOKEN_DERIVATION, TOKENS } from "./api.js";
import { CreateJoinTokens } from "./migrations/001-join-tokens.js";
import { TOKEN_ENTITIES } from "./token-repository.js";
import { TOKEN_RPC, tokenHandlers } from "./token-rpc.js";
import { TokenService } from "./token-service.js";

export default definePlugin({
  register(host) {
    host.provide(JOIN_TOKEN_DERIVATION, () => ({ derive: deriveJoinTokenKeys }));
    if (!host.roles.has("auth")) return;

    const service = (resolve: Resolve): TokenService => new TokenService(resolve(DATABASE), resolve(CLOCK));
    host.store(TOKEN_ENTITIES, [{ name: "001-join-tokens", class: CreateJoinTokens }]);
    host.provide(TOKENS, service);
    host.rpc(TOKEN_RPC, (resolve) => tokenHandlers(service(resolve)));
    host.run(
      (resolve) =>
        new Sweeper({
          what: "expired join tokens",
          everyMs: 60_000,
          sweep: () => service(resolve).sweep(),
          logger: resolve(LOGGER),
          duties: resolve(DUTIES),
        }),
    );
  },
});
