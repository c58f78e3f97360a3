import { CLUSTER_SETTINGS } from "../../core/plugin/cluster-settings.js";
import { COLLECTIONS } from "../../core/plugin/collection.js";
import { definePlugin, type Factory } from "../../core/plugin/contract.js";
import { DATABASE } from "../../core/plugin/database.js";
import { HOST_IDENTITIES } from "../../core/plugin/host-identity.js";
import { LIVE_SESSIONS } from "../../core/plugin/live-sessions.js";
import { LOGGER } from "../../core/plugin/logger.js";
import { CLOCK, LEASES, PROCESS } from "../../core/plugin/process.js";
import { CLUSTER_SETTING } from "../../core/ports/cluster-setting.js";
import { SessionServiceService } from "../../proto/gen/mezite/sessions/v1/sessions.js";
import { NODES } from "../nodes/api.js";
import { MAX_SESSIONS_PER_USER, SESSION_IDLE_TIMEOUT, SESSION_REPORTER, SESSION_TERMINATIONS } from "./api.js";
import { IdleEnforcer } from "./idle-enforcer.js";
import { CreateLiveSessions } from "./migrations/001-live-sessions.js";
import { RemoteSessionReporter } from "./remote-session-reporter.js";
import { SessionLedger } from "./session-ledger.js";
import { toReport } from "./session-message.js";
import { SESSION_ENTITIES } from "./session-repository.js";
import { SESSION_RPC, sessionHandlers } from "./session-rpc.js";
import { SessionService } from "./session-service.js";
import { SessionSweeper } from "./session-sweeper.js";
import { SessionTerminator } from "./session-terminator.js";

// The same in every generation of this process, and in no other process.
const PROCESS_ID = `${process.pid}.${performance.timeOrigin}`;

export default definePlugin({
  register(host) {
    if (host.roles.has("auth")) {
      const ledger = once(
        (resolve) =>
          new SessionLedger({
            database: resolve(DATABASE),
            clock: resolve(CLOCK),
            nodes: resolve(COLLECTIONS).of(NODES),
            settings: resolve(CLUSTER_SETTINGS),
          }),
      );
      const service = once(
        (resolve) => new SessionService({ database: resolve(DATABASE), clock: resolve(CLOCK), ledger: ledger(resolve) }),
      );
      for (const setting of [SESSION_IDLE_TIMEOUT, MAX_SESSIONS_PER_USER])
        host.implement(CLUSTER_SETTING, setting.key, () => ({ setting, file: null }));
      host.store(SESSION_ENTITIES, [{ name: "001-live-sessions", class: CreateLiveSessions }]);
      host.rpc(SESSION_RPC, (resolve) => sessionHandlers(service(resolve), ledger(resolve), resolve(CLOCK)));
      host.publish(SESSION_TERMINATIONS, service);
      host.run((resolve) => new SessionSweeper(service(resolve), resolve(LOGGER)));
    }
    const roles = (["proxy", "node"] as const).filter((role) => host.roles.has(role));
    if (roles.length === 0) return;
    const reporter = once((resolve) => {
      const identities = resolve(HOST_IDENTITIES);
      const leases = resolve(LEASES);
      return new RemoteSessionReporter({
        dataDirectory: resolve(PROCESS).dataDirectory,
        processId: PROCESS_ID,
        roles,
        async send(role, report, signal) {
          const client = identities.of(role).connection().client(SessionServiceService);
          const { sendLive: wantsLive, refused } = await client.report(toReport(PROCESS_ID, report), { signal });
          return { wantsLive, refused };
        },
        liveSessions: resolve(LIVE_SESSIONS),
        settings: resolve(CLUSTER_SETTINGS),
        takeLease: () => leases.take(),
        clock: resolve(CLOCK),
        logger: resolve(LOGGER),
      });
    });
    host.provide(SESSION_REPORTER, reporter);
    host.run(reporter);
    host.run(
      (resolve) =>
        new IdleEnforcer({
          liveSessions: resolve(LIVE_SESSIONS),
          settings: resolve(CLUSTER_SETTINGS),
          logger: resolve(LOGGER),
        }),
    );
    host.run((resolve) => new SessionTerminator(resolve(COLLECTIONS).of(SESSION_TERMINATIONS), resolve(LIVE_SESSIONS)));
  },
});

// --- internal ---

/** Several declarations share one service. */
function once<T>(factory: Factory<T>): Factory<T> {
  let made: T | undefined;
  return (resolve) => (made ??= factory(resolve));
}
