import type { CollectionKind } from "../../core/plugin/collection.js";
import type { EventType, ServiceToken } from "../../core/plugin/contract.js";
import type { HostIdentity } from "../../core/plugin/host-identity.js";

/** How a node is reached: `agent` runs mezd and keeps a reverse tunnel; `openssh` has an `sshd` that the proxy dials. */
export type NodeKind = "agent" | "openssh";

/** Where the `sshd` of a node without an agent is, and the key by which it is known. */
export interface OpenSshEndpoint {
  /** Host name or IP address, as proxies see it. */
  readonly host: string;
  readonly port: number;
  /** The only host key that is believed, wire form in base64. */
  readonly hostKey: string;
}

/** A node as proxies and the node itself know it. JSON. */
export interface NodeEntry {
  /** UUID, names the record for ever. */
  readonly id: string;
  readonly name: string;
  readonly kind: NodeKind;
  /** Of the machine; may differ from `name`. Empty before the agent has registered. Without an agent, the host that is dialled. */
  readonly hostname: string;
  /** The agent's and the administrator's; for a key that both set, the administrator's. */
  readonly labels: Readonly<Record<string, string>>;
  /** Of kind `openssh` only. */
  readonly openSsh?: OpenSshEndpoint;
}

/**
 * The nodes of the cluster by name. Proxies see all; a node sees itself. An entry that is removed or has a new `id`
 * means that tunnels and sessions of the old one must end.
 */
export const NODES: CollectionKind<NodeEntry> = {
  name: "nodes",
  version: 1,
  visibleTo: (caller, key) =>
    caller.kind === "agent" && (caller.role === "proxy" || (caller.role === "node" && caller.name === key)),
  keysOf: (caller) => (caller.kind !== "agent" ? [] : caller.role === "proxy" ? "all" : [caller.name]),
};

/** A proxy as other proxies know it. */
export interface ProxyEntry {
  /** UUID, names the record for ever. */
  readonly id: string;
  readonly name: string;
}

/** The proxies of the cluster by name, for proxies. One that is removed gets no streams from others. */
export const PROXIES: CollectionKind<ProxyEntry> = {
  name: "proxies",
  version: 1,
  visibleTo: (caller) => caller.kind === "agent" && caller.role === "proxy",
};

export interface NodeStatus extends NodeEntry {
  /** A heartbeat has come within three intervals. */
  readonly online: boolean;
  /** Last heartbeat, `null` when there has been none. */
  readonly lastSeen: Date | null;
}

/** Reads the inventory. On the auth service, from memory. */
export interface NodeInventory {
  get(name: string): NodeStatus | null;
  all(): readonly NodeStatus[];
  /** Of a node or proxy that runs mezd; `null` when there is none of that name. */
  signs(role: "node" | "proxy", name: string): AgentSigns | null;
}

/** When a node or proxy has given signs of life. */
export interface AgentSigns {
  readonly joinedAt: Date;
  /** Last heartbeat, `null` when there has been none. */
  readonly lastSeen: Date | null;
}

export const NODE_INVENTORY: ServiceToken<NodeInventory> = { id: "node-inventory", version: 1 };

/** Raised when a node record is deleted or replaced. */
export interface NodeLeft {
  readonly id: string;
  readonly name: string;
}

export const NODE_LEFT: EventType<NodeLeft> = { name: "node.left", version: 1 };

/** What a node says of itself. */
export interface AgentDescription {
  /** `[a-z0-9]` with `-`, `_` and `.` inside, at most 64 characters. */
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** Makes this process an agent of the cluster under a name. In role `node`; called by ssh-node in `start`. */
export interface AgentRegistration {
  /**
   * Loads stored credentials, or joins; then keeps the node registered and its heartbeat going until the plugin stops.
   * Resolves as soon as there are credentials: `HOST_IDENTITIES.of("node")` works from then on. Called again, it replaces
   * the labels. Stored credentials of another name are an error, because access rules hang on the name.
   * @throws {MezError} `JOIN_REFUSED`, `JOIN_SERVER_UNPROVEN`, `JOIN_TOKEN_REQUIRED`, `CONFLICT`; `UNAVAILABLE` when there
   * are no credentials and the auth service stays out of reach for 20 s
   */
  register(description: AgentDescription): Promise<HostIdentity>;
}

export const AGENT_REGISTRATION: ServiceToken<AgentRegistration> = { id: "agent-registration", version: 1 };
