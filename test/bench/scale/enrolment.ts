import { join } from "node:path";
import { CollectionRegistry } from "../../../core/events/collections.js";
import { openDatabase } from "../../../core/storage/database.js";
import { systemClock } from "../../../core/time/clock.js";
import { AUDIT_ENTITIES } from "../../../plugins/audit/audit-repository.js";
import { DatabaseAuditSink } from "../../../plugins/audit/database-audit-sink.js";
import { AuthorityEntity, AuthorityKeyEntity } from "../../../plugins/ca/authority-repository.js";
import { KeyBackedAuthorities } from "../../../plugins/ca/certificate-authorities.js";
import { KeyProtection } from "../../../plugins/keys/software/key-protection.js";
import { SoftwareKeyBackend } from "../../../plugins/keys/software/software-key-backend.js";
import { KeyProtectionEntity, SoftwareKeyEntity } from "../../../plugins/keys/software/software-key-repository.js";
import { AGENTS } from "../../../plugins/nodes/agent.js";
import { AgentDirectory } from "../../../plugins/nodes/agent-directory.js";
import { AGENT_ENTITIES } from "../../../plugins/nodes/agent-repository.js";
import { AgentService } from "../../../plugins/nodes/agent-service.js";
import { LocalEnrolment } from "../../../plugins/nodes/enrolment.js";
import { EnrolmentService } from "../../../plugins/nodes/enrolment-service.js";
import { Heartbeats } from "../../../plugins/nodes/heartbeats.js";
import { HostCertificateIssuer } from "../../../plugins/nodes/host-certificates.js";
import { IdentityStore } from "../../../plugins/nodes/identity-store.js";
import { OPENSSH_NODE_ENTITIES } from "../../../plugins/nodes/openssh-node-repository.js";
import { SqliteStorageDriver } from "../../../plugins/storage/sqlite/sqlite-driver.js";
import { silentLogger } from "../../fixtures/silent-logger.js";
import { AGENT_FACTS } from "./fleet-protocol.js";
import { inParallel } from "./in-parallel.js";

const CLUSTER_NAME = "test";
const HOST_CERTIFICATE_SECONDS = 86_400;
/** Where the auth service sees the agents. */
const LOOPBACK = "127.0.0.1";
const AT_ONCE = 64; // as many as one commit carries

/** An agent that is to have an identity, and where it keeps it. */
export interface NewAgent {
  readonly name: string;
  readonly folder: string;
}

/**
 * Gives agents their identities as the auth service does it for agents of its own process: same records, certificates and
 * audit events, without the handshakes and tokens of a join, so that ten thousand are there in a minute. They are registered
 * as well: when all connect at once, be it after a restart of the servers, they have been there before.
 * @param dataDirectory Of an auth service that does not run.
 */
export async function enrol(dataDirectory: string, agents: readonly NewAgent[]): Promise<void> {
  const clock = systemClock;
  const opened = await openDatabase({
    driver: new SqliteStorageDriver(join(dataDirectory, "mezite.db")),
    // The auth service has made the tables.
    plugins: [
      { id: "keys.software", entities: [KeyProtectionEntity, SoftwareKeyEntity], migrations: [] },
      { id: "ca", entities: [AuthorityEntity, AuthorityKeyEntity], migrations: [] },
      { id: "nodes", entities: [...AGENT_ENTITIES, ...OPENSSH_NODE_ENTITIES], migrations: [] },
      { id: "audit", entities: AUDIT_ENTITIES, migrations: [] },
    ],
    sinks: () => [new DatabaseAuditSink()],
    ...{ clock, clusterName: CLUSTER_NAME, logger: silentLogger },
    onCommitted: (rows) => opened.outbox.delivered(rows),
  });
  try {
    const { database } = opened;
    const protection = new KeyProtection(database, { passphrase: null, keyFile: join(dataDirectory, "ca.key") });
    const backend = new SoftwareKeyBackend(database, protection, clock);
    const authorities = new KeyBackedAuthorities({
      ...{ database, clock, logger: silentLogger, clusterName: CLUSTER_NAME },
      backendOf: () => backend,
    });
    await authorities.load();
    const issuer = new HostCertificateIssuer(authorities, CLUSTER_NAME, HOST_CERTIFICATE_SECONDS);
    const methods = {
      names: () => [],
      all: () => [],
      get: () => {
        throw new Error("nobody joins here");
      },
    };
    const service = new EnrolmentService(database, clock, issuer, methods, { all: () => [] });
    const enrolment = new LocalEnrolment(service, "node", []);
    const directory = new AgentDirectory(new CollectionRegistry().of(AGENTS));
    const registrations = new AgentService(database, directory, new Heartbeats(database, clock, silentLogger, 20));
    await inParallel(agents, AT_ONCE, async ({ name, folder }) => {
      const credentials = await enrolment.join(name);
      await registrations.register(credentials.id, AGENT_FACTS, LOOPBACK, null);
      await new IdentityStore(folder, "node").save(credentials);
    });
  } finally {
    await opened.close();
  }
}
