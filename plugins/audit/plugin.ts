import { definePlugin, type Factory } from "../../core/plugin/contract.js";
import { DATABASE } from "../../core/plugin/database.js";
import { HOST_IDENTITIES } from "../../core/plugin/host-identity.js";
import { LOGGER } from "../../core/plugin/logger.js";
import { CLOCK, PROCESS } from "../../core/plugin/process.js";
import { AUDIT_SINK } from "../../core/ports/audit-sink.js";
import { AuditServiceService } from "../../proto/gen/mezite/audit/v1/audit.js";
import { AUDIT_REPORTER } from "./api.js";
import { AUDIT_ENTITIES } from "./audit-repository.js";
import { AUDIT_RPC, auditHandlers } from "./audit-rpc.js";
import { DatabaseAuditSink } from "./database-audit-sink.js";
import { CreateAuditEvents } from "./migrations/001-audit-events.js";
import { RemoteAuditReporter } from "./remote-audit-reporter.js";

interface AuditConfig {
  readonly max_report_queue_bytes: number;
}

export default definePlugin<AuditConfig>({
  register(host, config) {
    if (host.roles.has("auth")) {
      host.store(AUDIT_ENTITIES, [{ name: "001-audit-events", class: CreateAuditEvents }]);
      host.implement(AUDIT_SINK, "database", () => new DatabaseAuditSink());
      host.rpc(AUDIT_RPC, (resolve) => auditHandlers(resolve(DATABASE), resolve(CLOCK)));
    }
    const roles = (["proxy", "node"] as const).filter((role) => host.roles.has(role));
    if (roles.length === 0) return;
    const reporter = once((resolve) => {
      const identities = resolve(HOST_IDENTITIES);
      return new RemoteAuditReporter({
        dataDirectory: resolve(PROCESS).dataDirectory,
        roles,
        maxQueueBytes: config.max_report_queue_bytes,
        async send(role, events, signal) {
          await identities.of(role).connection().client(AuditServiceService).reportEvents({ events }, { signal });
        },
        clock: resolve(CLOCK),
        logger: resolve(LOGGER),
      });
    });
    host.provide(AUDIT_REPORTER, reporter);
    host.run(reporter);
  },
});

// --- internal ---

/** The service that is provided and the one whose life is run are the same. */
function once<T>(factory: Factory<T>): Factory<T> {
  let made: T | undefined;
  return (resolve) => (made ??= factory(resolve));
}
