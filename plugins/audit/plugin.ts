import { CLUSTER_SETTINGS } from "../../core/plugin/cluster-settings.js";
import { definePlugin } from "../../core/plugin/contract.js";
import { DATABASE } from "../../core/plugin/database.js";
import { DUTIES } from "../../core/plugin/duties.js";
import { HOST_IDENTITIES } from "../../core/plugin/host-identity.js";
import { LOGGER } from "../../core/plugin/logger.js";
import { once } from "../../core/plugin/once.js";
import { PLUGIN_HOST } from "../../core/plugin/plugin-host.js";
import { CLOCK, PROCESS } from "../../core/plugin/process.js";
import { AUDIT_FORWARDER } from "../../core/ports/audit-forwarder.js";
import { AUDIT_SINK } from "../../core/ports/audit-sink.js";
import { CLUSTER_SETTING } from "../../core/ports/cluster-setting.js";
import { parseDuration } from "../../core/time/duration.js";
import { AuditServiceService } from "../../proto/gen/mezite/audit/v1/audit.js";
import { BUCKET } from "../s3/api.js";
import { AUDIT_REPORTER, AUDIT_RETENTION } from "./api.js";
import { ArchiveService } from "./archive-service.js";
import { AUDIT_MIGRATIONS } from "./audit-migrations.js";
import { AUDIT_ENTITIES } from "./audit-repository.js";
import { AUDIT_RPC, auditHandlers } from "./audit-rpc.js";
import { DatabaseAuditSink } from "./database-audit-sink.js";
import { codedEventTypes } from "./event-code.js";
import { Forwarding } from "./forwarding.js";
import { RemoteAuditReporter } from "./remote-audit-reporter.js";
import { parseArchiveEvery, ScheduledArchiving } from "./scheduled-archiving.js";

interface AuditConfig {
  readonly archive_directory: string;
  readonly archive_every: string;
  readonly archive_prefix: string;
  readonly forward_patience: string;
  readonly max_report_queue_bytes: number;
}

export default definePlugin<AuditConfig>({
  register(host, config) {
    if (host.roles.has("auth")) {
      host.store(AUDIT_ENTITIES, AUDIT_MIGRATIONS);
      const patienceSeconds = parseDuration(config.forward_patience);
      const archiveEverySeconds = parseArchiveEvery(config.archive_every);
      const forwarding = once((resolve) => {
        const forwarders = resolve.latePort(AUDIT_FORWARDER);
        return new Forwarding({
          names: () => forwarders.names(),
          forwarder: (name) => forwarders.get(name),
          database: resolve(DATABASE),
          clock: resolve(CLOCK),
          logger: resolve(LOGGER),
          duties: resolve(DUTIES),
        });
      });
      const archive = once(
        (resolve) =>
          new ArchiveService({
            database: resolve(DATABASE),
            settings: resolve(CLUSTER_SETTINGS),
            clock: resolve(CLOCK),
            bucket: resolve.late(BUCKET),
            dataDirectory: resolve(PROCESS).dataDirectory,
            directory: config.archive_directory,
            prefix: config.archive_prefix,
            takenSeq: () => forwarding(resolve).takenSeq(),
            patienceSeconds,
          }),
      );
      host.implement(AUDIT_SINK, "database", (resolve) => new DatabaseAuditSink(() => forwarding(resolve).wake()));
      host.implement(CLUSTER_SETTING, AUDIT_RETENTION.key, () => ({ setting: AUDIT_RETENTION, file: null }));
      host.run(forwarding);
      if (archiveEverySeconds !== null)
        host.run((resolve) => {
          const [database, clock, logger] = [resolve(DATABASE), resolve(CLOCK), resolve(LOGGER)];
          return new ScheduledArchiving({
            database,
            clock,
            logger,
            archive: archive(resolve),
            everySeconds: archiveEverySeconds,
          });
        });
      host.rpc(AUDIT_RPC, (resolve) =>
        auditHandlers({
          database: resolve(DATABASE),
          clock: resolve(CLOCK),
          archive: archive(resolve),
          forwarding: forwarding(resolve),
          eventTypes: () => [
            ...codedEventTypes(),
            ...resolve(PLUGIN_HOST)
              .list()
              .flatMap(({ manifest }) => manifest.contributes?.auditEvents ?? []),
          ],
        }),
      );
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
