import { COLLECTIONS } from "../../core/plugin/collection.js";
import type { ProcessRole, Resolve } from "../../core/plugin/contract.js";
import { DATABASE } from "../../core/plugin/database.js";
import { RPC_DIALER } from "../../core/plugin/dialer.js";
import type { HostIdentity } from "../../core/plugin/host-identity.js";
import { LOGGER } from "../../core/plugin/logger.js";
import { once } from "../../core/plugin/once.js";
import { PLUGIN_HOST } from "../../core/plugin/plugin-host.js";
import { CLOCK, PROCESS } from "../../core/plugin/process.js";
import { GUARD } from "../../core/ports/guard.js";
import { JOIN_METHOD } from "../../core/ports/join-method.js";
import { verifyHostKey } from "../../core/ssh/host-key-probe.js";
import { CA_KEYS, CERTIFICATE_AUTHORITIES, type TrustReport } from "../ca/api.js";
import { JOIN_CLIENT } from "../join/token/api.js";
import { ACCESS } from "../roles/api.js";
import { AGENTS } from "./agent.js";
import { AgentDirectory } from "./agent-directory.js";
import { localLink, networkLink } from "./agent-link.js";
import { AgentRuntime } from "./agent-runtime.js";
import { AgentService } from "./agent-service.js";
import { type Enrolment, LocalEnrolment, NetworkEnrolment } from "./enrolment.js";
import { EnrolmentService } from "./enrolment-service.js";
import { Heartbeats } from "./heartbeats.js";
import { HostCertificateIssuer } from "./host-certificates.js";
import { HostIdentityRegistry } from "./host-identity-registry.js";
import { IdentityStore } from "./identity-store.js";
import { NodeService } from "./node-service.js";
import { OPENSSH_NODES } from "./openssh-node.js";
import { OpenSshNodeService } from "./openssh-node-service.js";
import { RoleIdentity } from "./role-identity.js";
import { trustReportOf } from "./trust-report.js";
import { TrustReports } from "./trust-reports.js";

/** What the config says, read and checked. */
export interface NodesSettings {
  readonly hostName: string;
  readonly publicAddresses: readonly string[];
  readonly hostTtlSeconds: number;
  readonly heartbeatSeconds: number;
}

/** The factories of this plugin's services, each made once and by whoever asks first. */
export type NodesServices = ReturnType<typeof nodesServices>;

/**
 * Describes how the services of this plugin are made; nothing is made yet.
 * @param processRoles Roles of this process: with `auth` it enrols itself, otherwise over the network.
 */
export function nodesServices(settings: NodesSettings, processRoles: ReadonlySet<ProcessRole>) {
  const { hostName, publicAddresses, hostTtlSeconds, heartbeatSeconds } = settings;
  const isAuth = processRoles.has("auth");
  const roles = (["auth", "proxy", "node"] as const).filter((role) => processRoles.has(role));

  const directory = once((resolve) => new AgentDirectory(resolve(COLLECTIONS).of(AGENTS)));
  const heartbeats = once((resolve) => {
    const isShared = async (): Promise<boolean> => (await resolve(PLUGIN_HOST).servers()).length > 0;
    return new Heartbeats(resolve(DATABASE), resolve(CLOCK), resolve(LOGGER), heartbeatSeconds, isShared);
  });
  const trustReports = once((resolve) => new TrustReports(directory(resolve), heartbeats(resolve)));
  const agents = once((resolve) => new AgentService(resolve(DATABASE), directory(resolve), heartbeats(resolve)));
  const openSsh = once(
    (resolve) =>
      new OpenSshNodeService(
        resolve(DATABASE),
        resolve(COLLECTIONS).of(OPENSSH_NODES),
        resolve(CLOCK),
        ({ host: name, port, hostKey }) => verifyHostKey(name, port, Buffer.from(hostKey, "base64")),
      ),
  );
  const nodes = once(
    (resolve) => new NodeService(resolve(DATABASE), directory(resolve), heartbeats(resolve), resolve(ACCESS), openSsh(resolve)),
  );
  const enrolment = once((resolve) => {
    const issuer = new HostCertificateIssuer(resolve(CERTIFICATE_AUTHORITIES), resolve(PROCESS).clusterName, hostTtlSeconds);
    return new EnrolmentService(resolve(DATABASE), resolve(CLOCK), issuer, resolve.port(JOIN_METHOD), resolve.latePort(GUARD));
  });
  const enrolmentOf = (resolve: Resolve, role: ProcessRole): Enrolment => {
    if (isAuth) return new LocalEnrolment(enrolment(resolve), role, publicAddresses);
    const { dataDirectory, authAddresses, joinToken } = resolve(PROCESS);
    const agentRole = role === "proxy" ? "proxy" : "node";
    return new NetworkEnrolment({
      store: new IdentityStore(dataDirectory, agentRole),
      joinClient: resolve(JOIN_CLIENT),
      addresses: authAddresses,
      token: joinToken,
      role: agentRole,
      publicAddresses: agentRole === "proxy" ? publicAddresses : [],
    });
  };
  const identities = once((resolve) => {
    const common = {
      dialer: resolve(RPC_DIALER),
      addresses: resolve(PROCESS).authAddresses,
      clock: resolve(CLOCK),
      logger: resolve(LOGGER),
    };
    return new HostIdentityRegistry(
      new Map(roles.map((role) => [role, new RoleIdentity({ ...common, role, enrolment: enrolmentOf(resolve, role) })])),
    );
  });
  const runtime = once((resolve) => {
    const agentService = isAuth ? agents(resolve) : null;
    const trustOf = (identity: HostIdentity) => (): TrustReport =>
      trustReportOf(identity.current(), resolve(COLLECTIONS).of(CA_KEYS));
    return new AgentRuntime({
      process: resolve(PROCESS),
      identities: identities(resolve),
      collections: resolve(COLLECTIONS),
      caKeys: resolve(COLLECTIONS).of(CA_KEYS),
      link: (identity) =>
        agentService === null
          ? networkLink(identity.connection(), trustOf(identity))
          : localLink(agentService, () => identity.current().id, trustOf(identity)),
      logger: resolve(LOGGER),
      hostName,
    });
  });

  return { directory, heartbeats, trustReports, agents, openSsh, nodes, enrolment, identities, runtime };
}
