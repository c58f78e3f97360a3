import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CollectionRegistry } from "../../core/events/collections.js";
import { deriveJoinTokenKeys } from "../../core/join/join-token-keys.js";
import { type CertificateBinding, TokenJoinClient } from "../../core/join/token-join-client.js";
import type { AuditEvent } from "../../core/plugin/audit.js";
import type { Permission, PermissionHolder } from "../../core/plugin/caller.js";
import type { RpcDefinition, RpcHandlers, RpcService } from "../../core/plugin/rpc.js";
import { Secret } from "../../core/plugin/secret.js";
import { grpcDialer } from "../../core/rpc/client.js";
import { AnonymousCallLimiter } from "../../core/rpc/interceptors/limit.js";
import { RpcServer } from "../../core/rpc/server.js";
import { openDatabase } from "../../core/storage/database.js";
import { AuthorityEntity, AuthorityKeyEntity } from "../../plugins/ca/authority-repository.js";
import { createMissingAuthorities } from "../../plugins/ca/authority-setup.js";
import { KeyBackedAuthorities } from "../../plugins/ca/certificate-authorities.js";
import { CreateCertificateAuthorities } from "../../plugins/ca/migrations/20260101000000-certificate-authorities.js";
import { JOIN_RPC, joinHandlers } from "../../plugins/join/token/join-rpc.js";
import { ServerNonces } from "../../plugins/join/token/server-nonce.js";
import { TokenJoinServer } from "../../plugins/join/token/token-join-server.js";
import { AGENTS } from "../../plugins/nodes/agent.js";
import { AgentAuthenticator } from "../../plugins/nodes/agent-authenticator.js";
import { AgentDirectory } from "../../plugins/nodes/agent-directory.js";
import { AGENT_ENTITIES } from "../../plugins/nodes/agent-repository.js";
import { AGENT_RPC, agentHandlers } from "../../plugins/nodes/agent-rpc.js";
import { AgentService } from "../../plugins/nodes/agent-service.js";
import { LocalEnrolment, NetworkEnrolment } from "../../plugins/nodes/enrolment.js";
import { EnrolmentService } from "../../plugins/nodes/enrolment-service.js";
import { Heartbeats } from "../../plugins/nodes/heartbeats.js";
import { HostCertificateIssuer } from "../../plugins/nodes/host-certificates.js";
import { IdentityStore } from "../../plugins/nodes/identity-store.js";
import { CreateAgents } from "../../plugins/nodes/migrations/001-agents.js";
import { CreateOpenSshNodes } from "../../plugins/nodes/migrations/002-openssh-nodes.js";
import { AddAgentTrust } from "../../plugins/nodes/migrations/003-agent-trust.js";
import { NodeService } from "../../plugins/nodes/node-service.js";
import { OPENSSH_NODES } from "../../plugins/nodes/openssh-node.js";
import { OPENSSH_NODE_ENTITIES } from "../../plugins/nodes/openssh-node-repository.js";
import { OpenSshNodeService } from "../../plugins/nodes/openssh-node-service.js";
import { RoleIdentity } from "../../plugins/nodes/role-identity.js";
import type { Access } from "../../plugins/roles/api.js";
import { SqliteStorageDriver } from "../../plugins/storage/sqlite/sqlite-driver.js";
import { CreateJoinTokens } from "../../plugins/tokens/migrations/001-join-tokens.js";
import { TOKEN_ENTITIES } from "../../plugins/tokens/token-repository.js";
import { TokenService } from "../../plugins/tokens/token-service.js";
import { FakeGuards } from "../fakes/guards.js";
import { FakeKeyBackend } from "../fakes/key-backend.js";
import { silentLogger } from "../fixtures/silent-logger.js";

export const ADMIN = { name: "admin", roles: ["admin"] } as const;

/** Lets everybody see the nodes whose label `team` is `seen`. */
const access: Pick<Access, "visibleNodes"> = {
  visibleNodes: (_subject, nodes) => [...nodes].filter((node) => node.labels["team"] === "seen"),
};

/** An auth service with the plugins that joining needs: real database, CA, TLS and gRPC on loopback. */
export class JoinTestBed {
  /** What `now` is to the services; tests move it. */
  readonly guards = new FakeGuards();
  readonly clock = { time: new Date(), now: () => new Date(this.clock.time) };
  readonly audits: AuditEvent[] = [];
  readonly backend = new FakeKeyBackend();
  readonly collections = new CollectionRegistry();
  #closers: (() => Promise<unknown>)[] = [];

  private constructor(
    readonly folder: string,
    readonly database: Awaited<ReturnType<typeof openDatabase>>["database"],
  ) {}

  declare tokens: TokenService;
  declare enrolment: EnrolmentService;
  declare agents: AgentService;
  declare nodes: NodeService;
  declare openSsh: OpenSshNodeService;
  declare heartbeats: Heartbeats;
  declare directory: AgentDirectory;
  declare authorities: KeyBackedAuthorities;
  declare joinServer: TokenJoinServer;
  /** `127.0.0.1:port` */
  declare address: string;

  static async open(options: { readonly allowWithoutFingerprint?: boolean } = {}): Promise<JoinTestBed> {
    const folder = await mkdtemp(join(tmpdir(), "mezite-join-"));
    let bed: JoinTestBed | null = null;
    const opened = await openDatabase({
      driver: new SqliteStorageDriver(join(folder, "mezite.db")),
      plugins: [
        {
          id: "ca",
          entities: [AuthorityEntity, AuthorityKeyEntity],
          migrations: [{ name: "20260101000000-certificate-authorities", class: CreateCertificateAuthorities }],
        },
        { id: "tokens", entities: TOKEN_ENTITIES, migrations: [{ name: "001-join-tokens", class: CreateJoinTokens }] },
        {
          id: "nodes",
          entities: [...AGENT_ENTITIES, ...OPENSSH_NODE_ENTITIES],
          migrations: [
            { name: "001-agents", class: CreateAgents },
            { name: "003-agent-trust", class: AddAgentTrust },
            { name: "002-openssh-nodes", class: CreateOpenSshNodes },
          ],
        },
      ],
      sinks: () => [{ append: async (events) => void bed?.audits.push(...events) }],
      clock: { now: () => bed?.clock.now() ?? new Date() },
      clusterName: "test",
      logger: silentLogger,
      onCommitted: (rows) => {
        const changes = rows.filter((row) => row.topic.startsWith("collection:"));
        bed?.collections.apply(
          changes.map((row) => ({
            kind: row.topic.slice("collection:".length),
            key: row.key ?? "",
            value: row.removed ? undefined : row.payload,
          })),
        );
      },
    });
    bed = new JoinTestBed(folder, opened.database);
    bed.#closers.push(
      () => opened.close(),
      () => rm(folder, { recursive: true, force: true }),
    );
    await bed.#assemble(options.allowWithoutFingerprint ?? false);
    return bed;
  }

  /** A fresh token for nodes. */
  async token(roles: readonly string[] = ["node"], ttlSeconds = 3600): Promise<Secret> {
    return (await this.tokens.create({ roles, ttlSeconds }, ADMIN)).secret;
  }

  joinClient(binding: CertificateBinding = { kind: "fingerprint" }): TokenJoinClient {
    return new TokenJoinClient(grpcDialer, { derive: deriveJoinTokenKeys }, binding);
  }

  /** A node in a process of its own, with a data directory called `name`. */
  agent(name: string, token: Secret | null, addresses: readonly string[] = [this.address]): NetworkEnrolment {
    return new NetworkEnrolment({
      store: new IdentityStore(join(this.folder, name), "node"),
      joinClient: this.joinClient(),
      addresses,
      token,
      role: "node",
      publicAddresses: [],
    });
  }

  identity(enrolment: NetworkEnrolment, addresses: readonly string[] = [this.address]): RoleIdentity {
    const identity = new RoleIdentity({
      role: "node",
      enrolment,
      dialer: grpcDialer,
      addresses,
      clock: this.clock,
      logger: silentLogger,
    });
    this.#closers.unshift(() => identity.stop());
    return identity;
  }

  async close(): Promise<void> {
    for (const close of this.#closers) await close();
  }

  async #assemble(allowWithoutFingerprint: boolean): Promise<void> {
    const { database, clock } = this;
    const { backend } = this;
    await createMissingAuthorities({ database, clock, clusterName: "test", backendName: "fake", backend });
    const authorities = new KeyBackedAuthorities({
      database,
      clock,
      logger: silentLogger,
      clusterName: "test",
      backendOf: () => backend,
    });
    await authorities.load();
    this.authorities = authorities;
    this.tokens = new TokenService(database, clock);
    this.joinServer = new TokenJoinServer({
      database,
      tokens: this.tokens,
      nonces: new ServerNonces(clock),
      trustBundle: () => Buffer.from(authorities.trustBundle("host").certificatesPem.join("")),
      decoy: deriveJoinTokenKeys(new Secret(randomBytes(32).toString("hex"))),
      allowWithoutFingerprint,
    });
    const { joinServer } = this;
    const methods = { names: () => ["token"], get: () => joinServer, all: () => [joinServer] };
    this.enrolment = new EnrolmentService(
      database,
      clock,
      new HostCertificateIssuer(authorities, "test", 3600),
      methods,
      this.guards,
    );
    this.directory = new AgentDirectory(this.collections.of(AGENTS));
    this.heartbeats = new Heartbeats(database, clock, silentLogger, 20);
    this.agents = new AgentService(database, this.directory, this.heartbeats);
    this.openSsh = new OpenSshNodeService(database, this.collections.of(OPENSSH_NODES), clock, async () => {});
    this.nodes = new NodeService(database, this.directory, this.heartbeats, access as Access, this.openSsh);
    await this.#serve();
  }

  async #serve(): Promise<void> {
    const routes = new Map<string, { permission: Permission | "public"; handler: unknown }>();
    const add = <D extends RpcDefinition>(service: RpcService<D>, handlers: RpcHandlers<D>): void => {
      for (const [method, permission] of Object.entries(service.permissions)) {
        routes.set(`${service.name}/${method}`, { permission: permission as Permission | "public", handler: handlers[method] });
      }
      server.serve(service as unknown as RpcService<RpcDefinition>);
    };
    const server = new RpcServer({
      router: (service, method) => {
        const route = routes.get(`${service}/${method}`);
        if (route === undefined) return null;
        const { permission, handler } = route;
        return { permission, holders: ["node"], handler: handler as never, lease: () => () => {} };
      },
      authenticators: () => [new AgentAuthenticator(this.directory, "test", this.clock, this.guards)],
      authorizer: () => ({
        refusal: (caller, _permission, holders) =>
          caller.kind === "agent" && holders.includes(caller.role as PermissionHolder) ? null : "not an agent",
      }),
      anonymousCalls: new AnonymousCallLimiter({ burst: 1000, perSecond: 1000 }, this.clock),
      audit: () => {},
      logger: silentLogger,
    });
    add(JOIN_RPC, joinHandlers(this.joinServer));
    add(AGENT_RPC, agentHandlers(this.enrolment, this.agents, "test"));
    const credentials = await new LocalEnrolment(this.enrolment, "auth", []).join("auth-01");
    this.address = await server.listen("127.0.0.1:0", credentials);
    this.#closers.unshift(() => server.close());
  }
}
