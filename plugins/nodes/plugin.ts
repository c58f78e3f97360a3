import { hostname } from "node:os";
import { MezError } from "../../core/errors/error.js";
import { COLLECTIONS } from "../../core/plugin/collection.js";
import { definePlugin, type Factory, type ProcessRole, type Resolve } from "../../core/plugin/contract.js";
import { DATABASE } from "../../core/plugin/database.js";
import { RPC_DIALER } from "../../core/plugin/dialer.js";
import { HOST_IDENTITIES, type HostIdentity } from "../../core/plugin/host-identity.js";
import { LOGGER } from "../../core/plugin/logger.js";
import { CLOCK, PROCESS } from "../../core/plugin/process.js";
import { AUTHENTICATOR } from "../../core/ports/authenticator.js";
import { GUARD } from "../../core/ports/guard.js";
import { JOIN_METHOD } from "../../core/ports/join-method.js";
import { verifyHostKey } from "../../core/ssh/host-key-probe.js";
import { parseDuration } from "../../core/time/duration.js";
import { CA_KEYS, CERTIFICATE_AUTHORITIES, TRUST_FOLLOWERS, type TrustFollower, type TrustReport } from "../ca/api.js";
import { JOIN_CLIENT } from "../join/token/api.js";
import { ACCESS } from "../roles/api.js";
import { AGENTS, nodeEntryOf, parsePublicAddresses } from "./agent.js";
import { AgentAuthenticator } from "./agent-authenticator.js";
import { AgentDirectory } from "./agent-directory.js";
import { localLink, networkLink } from "./agent-link.js";
import { AGENT_ENTITIES, findAgents } from "./agent-repository.js";
import { AGENT_RPC, agentHandlers } from "./agent-rpc.js";
import { AgentRuntime } from "./agent-runtime.js";
import { AgentService } from "./agent-service.js";
import { AGENT_REGISTRATION, NODE_INVENTORY, NODES } from "./api.js";
import { type Enrolment, LocalEnrolment, NetworkEnrolment } from "./enrolment.js";
import { EnrolmentService } from "./enrolment-service.js";
import { Heartbeats } from "./heartbeats.js";
import { HostCertificateIssuer } from "./host-certificates.js";
import { HostIdentityRegistry } from "./host-identity-registry.js";
import { IdentityStore } from "./identity-store.js";
import { CreateAgents } from "./migrations/001-agents.js";
import { CreateOpenSshNodes } from "./migrations/002-openssh-nodes.js";
import { NODE_ACCESS_RPC, nodeAccessHandlers } from "./node-access-rpc.js";
import { NodeAccessService } from "./node-access-service.js";
import { NODE_RPC, nodeHandlers } from "./node-rpc.js";
import { NodeService } from "./node-service.js";
import { OPENSSH_NODES, openSshEntryOf } from "./openssh-node.js";
import { findOpenSshNodes, OPENSSH_NODE_ENTITIES } from "./openssh-node-repository.js";
import { OpenSshNodeService } from "./openssh-node-service.js";
import { RoleIdentity } from "./role-identity.js";
import { trustReportOf } from "./trust-report.js";
import { TrustReports } from "./trust-reports.js";

interface NodesConfig {
  readonly host_name: string;
  readonly public_addresses: readonly string[];
  readonly host_certificate_ttl: string;
  readonly heartbeat_interval: string;
}

export default definePlugin<NodesConfig>({
  register(host, config) {
    const ttlSeconds = secondsIn("host_certificate_ttl", config.host_certificate_ttl, 10, 604_800);
    const intervalSeconds = secondsIn("heartbeat_interval", config.heartbeat_interval, 1, 3_600);
    const publicAddresses = parsePublicAddresses(config.public_addresses);
    const hostName = config.host_name === "" ? hostname().toLowerCase().slice(0, 64) : config.host_name;
    const isAuth = host.roles.has("auth");
    const roles = (["auth", "proxy", "node"] as const).filter((role) => host.roles.has(role));

    const directory = once((resolve) => new AgentDirectory(resolve(COLLECTIONS).of(AGENTS)));
    const heartbeats = once((resolve) => new Heartbeats(resolve(DATABASE), resolve(CLOCK), resolve(LOGGER), intervalSeconds));
    const trustReports = once((resolve) => new TrustReports(directory(resolve)));
    const agents = once(
      (resolve) => new AgentService(resolve(DATABASE), directory(resolve), heartbeats(resolve), trustReports(resolve)),
    );
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
      const issuer = new HostCertificateIssuer(resolve(CERTIFICATE_AUTHORITIES), resolve(PROCESS).clusterName, ttlSeconds);
      return new EnrolmentService(resolve(DATABASE), resolve(CLOCK), issuer, resolve.port(JOIN_METHOD), resolve.port(GUARD));
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

    if (isAuth) {
      host.store(
        [...AGENT_ENTITIES, ...OPENSSH_NODE_ENTITIES],
        [
          { name: "001-agents", class: CreateAgents },
          { name: "002-openssh-nodes", class: CreateOpenSshNodes },
        ],
      );
      host.publish(OPENSSH_NODES, (resolve) => ({
        entries: async () => (await resolve(DATABASE).read(findOpenSshNodes)).map((node) => [node.name, node] as const),
      }));
      host.publish(AGENTS, (resolve) => ({
        entries: async () => (await resolve(DATABASE).read(findAgents)).map((agent) => [agent.id, agent] as const),
      }));
      host.publish(NODES, (resolve) => ({
        entries: async () => {
          const [agents, added] = await resolve(DATABASE).read(async (em) => [await findAgents(em), await findOpenSshNodes(em)]);
          const joined = agents.filter((agent) => agent.role === "node").map(nodeEntryOf);
          return [...joined, ...added.map(openSshEntryOf)].map((entry) => [entry.name, entry] as const);
        },
      }));
      host.provide(NODE_INVENTORY, nodes);
      host.implement(
        AUTHENTICATOR,
        "agent",
        (resolve) =>
          new AgentAuthenticator(directory(resolve), resolve(PROCESS).clusterName, resolve(CLOCK), resolve.port(GUARD)),
      );
      host.rpc(NODE_RPC, (resolve) => nodeHandlers(nodes(resolve), openSsh(resolve)));
      host.rpc(NODE_ACCESS_RPC, (resolve) => {
        const access = new NodeAccessService({
          database: resolve(DATABASE),
          nodes: openSsh(resolve),
          authorities: resolve(CERTIFICATE_AUTHORITIES),
          access: resolve(ACCESS),
          guards: resolve.port(GUARD),
          clock: resolve(CLOCK),
          clusterName: resolve(PROCESS).clusterName,
          hostTtlSeconds: ttlSeconds,
        });
        return nodeAccessHandlers(access, openSsh(resolve));
      });
      host.rpc(AGENT_RPC, (resolve) => agentHandlers(enrolment(resolve), agents(resolve), resolve(PROCESS).clusterName));
      host.run(heartbeats);
      host.run((resolve) => ({ dispose: async () => directory(resolve).dispose() }));
      host.run((resolve) => {
        const own = (): TrustFollower => {
          const identity = identities(resolve).get("auth");
          const report = identity.isReady ? trustReportOf(identity.current(), resolve(COLLECTIONS).of(CA_KEYS)) : null;
          return { kind: "auth", name: hostName, report };
        };
        let stop: (() => void) | null = null;
        return {
          start: async () => {
            stop = resolve(TRUST_FOLLOWERS).add(() => [
              own(),
              ...trustReports(resolve).followers(),
              ...openSsh(resolve).followers(resolve(CERTIFICATE_AUTHORITIES).trustBundle("user")),
            ]);
          },
          dispose: async () => stop?.(),
        };
      });
    }
    host.provide(HOST_IDENTITIES, identities);
    if (host.roles.has("node")) host.provide(AGENT_REGISTRATION, runtime);
    host.run(runtime);
  },
});

// --- internal ---

/** Makes a service at the first call and gives the same one after. */
function once<T>(make: Factory<T>): Factory<T> {
  let made: { readonly value: T } | null = null;
  return (resolve) => {
    made ??= { value: make(resolve) };
    return made.value;
  };
}

function secondsIn(key: string, text: string, min: number, max: number): number {
  const seconds = parseDuration(text);
  if (seconds >= min && seconds <= max) return seconds;
  throw new MezError("INVALID_ARGUMENT", `${key} "${text}" of plugin nodes is out of range; use ${min} to ${max} seconds`);
}
