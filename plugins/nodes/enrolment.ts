import { MezError } from "../../core/errors/error.js";
import type { JoinClient } from "../../core/join/join-client.js";
import type { ProcessRole } from "../../core/plugin/contract.js";
import type { HostCredentials } from "../../core/plugin/host-identity.js";
import type { RpcConnection } from "../../core/plugin/rpc.js";
import type { Secret } from "../../core/plugin/secret.js";
import { AgentServiceService, type HostCerts, JoinRequest } from "../../proto/gen/mezite/nodes/v1/nodes.js";
import type { AgentRole } from "./agent.js";
import type { EnrolmentService } from "./enrolment-service.js";
import type { HostCertificates } from "./host-certificates.js";
import { generateHostKeys, type HostKeys } from "./host-keys.js";
import type { IdentityStore } from "./identity-store.js";

/** How a role of this process gets its credentials. */
export interface Enrolment {
  /** Credentials from an earlier run that can still be used, or `null`. */
  stored(): Promise<HostCredentials | null>;
  /** @throws {MezError} `JOIN_REFUSED`, `JOIN_SERVER_UNPROVEN`, `JOIN_TOKEN_REQUIRED`, `ALREADY_EXISTS`, `UNAVAILABLE` */
  join(name: string): Promise<HostCredentials>;
  /** @param connection Under the credentials that are replaced. */
  renew(credentials: HostCredentials, connection: RpcConnection): Promise<HostCredentials>;
  /** Stores credentials whose trusted CAs changed. */
  keep(credentials: HostCredentials): Promise<void>;
}

/** In a process that is also the auth service: signs at each start, keeps no files, asks nobody. */
export class LocalEnrolment implements Enrolment {
  constructor(
    private readonly service: EnrolmentService,
    private readonly role: ProcessRole,
    private readonly publicAddresses: readonly string[],
  ) {}

  async stored(): Promise<null> {
    return null;
  }

  async join(name: string): Promise<HostCredentials> {
    const { role, publicAddresses } = this;
    const keys = generateHostKeys();
    if (role === "node")
      return credentialsOf(name, role, keys, await this.service.enrolLocal({ name, role, keys, publicAddresses: [] }));
    if (role === "proxy")
      return credentialsOf(name, role, keys, await this.service.enrolLocal({ name, role, keys, publicAddresses }));
    return credentialsOf(name, role, keys, await this.service.issueForAuth(name, keys, publicAddresses));
  }

  async renew(credentials: HostCredentials): Promise<HostCredentials> {
    return this.join(credentials.name);
  }

  async keep(): Promise<void> {}
}

export interface NetworkEnrolmentParts {
  readonly store: IdentityStore;
  readonly joinClient: JoinClient;
  readonly addresses: readonly string[];
  readonly token: Secret | null;
  readonly role: AgentRole;
  readonly publicAddresses: readonly string[];
}

/** In a process of its own: joins with a token, keeps the credentials in the data directory. */
export class NetworkEnrolment implements Enrolment {
  constructor(private readonly parts: NetworkEnrolmentParts) {}

  stored(): Promise<HostCredentials | null> {
    return this.parts.store.load();
  }

  async join(name: string): Promise<HostCredentials> {
    const { store, joinClient, addresses, token, role, publicAddresses } = this.parts;
    if (token === null) {
      throw new MezError(
        "JOIN_TOKEN_REQUIRED",
        `this ${role} has not joined the cluster; make a token with mezctl tokens create --roles=${role} and give it with --token`,
      );
    }
    const keys = await store.pendingKeys();
    const attempt = await joinClient.begin({ addresses, token, kind: "agent" });
    try {
      const request = Buffer.from(JoinRequest.encode({ name, role, keys, publicAddresses: [...publicAddresses] }).finish());
      const proof = Buffer.from(await attempt.prove(request));
      const answer = await attempt.connection
        .client(AgentServiceService)
        .generateHostCerts({ method: attempt.method, proof, request });
      // The bundle that was proven, not the one in the answer.
      return await this.#store(name, keys, { ...certificatesOf(answer), trustPem: attempt.trustPem });
    } finally {
      attempt.close();
    }
  }

  async renew(credentials: HostCredentials, connection: RpcConnection): Promise<HostCredentials> {
    const keys = await this.parts.store.pendingKeys();
    const answer = await connection
      .client(AgentServiceService)
      .renewHostCerts({ keys, publicAddresses: [...this.parts.publicAddresses] });
    return this.#store(credentials.name, keys, certificatesOf(answer));
  }

  keep(credentials: HostCredentials): Promise<void> {
    return this.parts.store.save(credentials);
  }

  async #store(name: string, keys: HostKeys, certificates: Omit<HostCertificates, "serial">): Promise<HostCredentials> {
    const credentials = credentialsOf(name, this.parts.role, keys, certificates);
    await this.parts.store.save(credentials);
    await this.parts.store.dropPendingKeys();
    return credentials;
  }
}

// --- internal ---

function credentialsOf(
  name: string,
  role: ProcessRole,
  keys: HostKeys,
  certificates: Omit<HostCertificates, "serial">,
): HostCredentials {
  const { agentId, tlsCertificatePem, trustPem, sshCertificate, expiresAt } = certificates;
  return {
    ...{ name, role, id: agentId, trustPem, sshCertificate, expiresAt },
    certificatePem: tlsCertificatePem,
    privateKeyPem: keys.tlsPrivateKeyPem,
    sshPrivateKey: keys.sshPrivateKey,
  };
}

function certificatesOf({
  agentId,
  sshCertificate,
  tlsCertificatePem,
  trustPem,
  expiresAt,
}: HostCerts): Omit<HostCertificates, "serial"> {
  if (expiresAt === undefined || agentId === "" || sshCertificate.length === 0)
    throw new MezError("INTERNAL", "the auth service sent certificates that are not complete");
  return { agentId, sshCertificate, tlsCertificatePem, trustPem, expiresAt };
}
