import { definePlugin, type Resolve } from "../../core/plugin/contract.js";
import { RPC_DIALER } from "../../core/plugin/dialer.js";
import { HOST_IDENTITIES } from "../../core/plugin/host-identity.js";
import { PROCESS } from "../../core/plugin/process.js";
import { WEB_AUTHENTICATOR } from "../../core/ports/web-authenticator.js";
import { AuthServiceSessions } from "./auth-service-sessions.js";
import { SESSION_ROUTES, sessionHandlers } from "./session-routes.js";

export default definePlugin({
  register(host) {
    const sessions = (resolve: Resolve): AuthServiceSessions => {
      const identities = resolve(HOST_IDENTITIES);
      return new AuthServiceSessions({
        dialer: resolve(RPC_DIALER),
        addresses: resolve(PROCESS).authAddresses,
        authorities: () => identities.of("proxy").current().trustPem,
      });
    };
    host.implement(WEB_AUTHENTICATOR, "session", sessions);
    host.web(SESSION_ROUTES, (resolve) => sessionHandlers(sessions(resolve)));
  },
});
