import { CLUSTER_SETTINGS } from "../../core/plugin/cluster-settings.js";
import { COLLECTIONS } from "../../core/plugin/collection.js";
import { definePlugin } from "../../core/plugin/contract.js";
import { DATABASE } from "../../core/plugin/database.js";
import { DUTIES } from "../../core/plugin/duties.js";
import { HOST_IDENTITIES } from "../../core/plugin/host-identity.js";
import { LIVE_SESSIONS } from "../../core/plugin/live-sessions.js";
import { LOGGER } from "../../core/plugin/logger.js";
import { once } from "../../core/plugin/once.js";
import { CLOCK, LEASES, PROCESS } from "../../core/plugin/process.js";
import { CLUSTER_SETTING } from "../../core/ports/cluster-setting.js";
import { parseDuration } from "../../core/time/duration.js";
import { SessionServiceService } from "../../proto/gen/mezite/sessions/v1/sessions.js";
import { NODES } from "../nodes/api.js";
import { MAX_SESSIONS_PER_USER, SESSION_IDLE_TIMEOUT, SESSION_REPORTER, SESSION_TERMINATIONS } from "./api.js";
import { IdleEnforcer } from "./idle-enforcer.js";
import { CreateLiveSessions } from "./migrations/001-live-sessions.js";
import { CreateSessionReporters } from "./migrations/002-session-reporters.js";
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

interface SessionsConfig {
  readonly idle_timeout: string;
  readonly max_per_user: number;
}

export default definePlugin<SessionsConfig>({
  register(host, config) {
    const idleSeconds = config.idle_timeout === "" ? 0 : parseDuration(config.idle_timeout);
    for (const [setting, name, value] of [
      [SESSION_IDLE_TIMEOUT, "idle_timeout", idleSeconds],
      [MAX_SESSIONS_PER_USER, "max_per_user", config.max_per_user],
    ] as const)
      host.implement(CLUSTER_SETTING, setting.key, () => ({ setting, file: { key: `plugins.sessions.config.${name}`, value } }));
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
      host.store(SESSION_ENTITIES, [
        { name: "001-live-sessions", class: CreateLiveSessions },
        { name: "002-session-reporters", class: CreateSessionReporters },
      ]);
      host.rpc(SESSION_RPC, (resolve) => sessionHandlers(service(resolve), ledger(resolve), resolve(CLOCK)));
      host.publish(SESSION_TERMINATIONS, service);
      host.run((resolve) => new SessionSweeper(service(resolve), resolve(DUTIES), resolve(LOGGER)));
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
