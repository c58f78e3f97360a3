import type { Column, CommandContext } from "../../core/plugin/commands.js";
import { type Node, NodeServiceService } from "../../proto/gen/mezite/nodes/v1/nodes.js";

/** `mezctl nodes ls` */
export async function listNodes(context: CommandContext, role: "node" | "proxy"): Promise<void> {
  const client = await context.rpc(NodeServiceService);
  const nodes: Node[] = [];
  for await (const page of client.listNodes({ role, brief: true }, { signal: context.signal })) nodes.push(...page.nodes);
  await context.output.rows(nodes, LIST_COLUMNS);
}

/** `mezctl nodes get` */
export async function showNode(context: CommandContext, name: string): Promise<void> {
  const client = await context.rpc(NodeServiceService);
  await printNode(context, await client.getNode({ name }, { signal: context.signal }));
}

/** Everything that is known of a node. */
export async function printNode(context: CommandContext, node: Node): Promise<void> {
  await context.output.record(node, node.kind === "openssh" ? OPENSSH_COLUMNS : AGENT_COLUMNS);
}

/** `mezctl nodes update` */
export async function updateNode(context: CommandContext, name: string, labels: Readonly<Record<string, string>>): Promise<void> {
  const client = await context.rpc(NodeServiceService);
  const node = await client.updateNodeLabels({ name, labels: { ...labels } }, { signal: context.signal });
  await context.output.record(node, [NAME, LABELS, ADMIN_LABELS, AGENT_LABELS]);
}

/** `mezctl nodes rm` */
export async function removeNode(context: CommandContext, name: string, role: "node" | "proxy"): Promise<void> {
  const client = await context.rpc(NodeServiceService);
  await client.deleteNode({ name, role }, { signal: context.signal });
  context.output.note(`removed ${role} ${name}; its certificates are refused from now on`);
}

// --- internal ---

const NAME: Column<Node> = { key: "name", header: "NAME", value: (node) => node.name };
const LABELS: Column<Node> = { key: "labels", header: "LABELS", value: (node) => node.labels, shrink: true };
const ADMIN_LABELS: Column<Node> = { key: "adminLabels", header: "SET BY ADMIN", value: (node) => node.adminLabels };
const AGENT_LABELS: Column<Node> = { key: "agentLabels", header: "SET BY AGENT", value: (node) => node.agentLabels };
const ADDRESS: Column<Node> = { key: "address", header: "ADDRESS", value: (node) => node.address };
const HOSTNAME: Column<Node> = { key: "hostname", header: "HOSTNAME", value: (node) => node.hostname, shrink: true };
const STATUS: Column<Node> = {
  key: "online",
  header: "STATUS",
  value: (node) => (node.kind === "openssh" ? "agentless" : node.online ? "online" : "offline"),
  json: (node) => node.online,
};
const LAST_SEEN: Column<Node> = { key: "lastSeen", header: "LAST SEEN", value: (node) => node.lastSeen };

const KIND: Column<Node> = { key: "kind", header: "KIND", value: (node) => node.kind };
const ID: Column<Node> = { key: "id", header: "ID", value: (node) => node.id };

const LIST_COLUMNS: readonly Column<Node>[] = [NAME, KIND, HOSTNAME, ADDRESS, LABELS, STATUS, LAST_SEEN];

const AGENT_COLUMNS: readonly Column<Node>[] = [
  NAME,
  ID,
  KIND,
  HOSTNAME,
  ADDRESS,
  LABELS,
  ADMIN_LABELS,
  AGENT_LABELS,
  STATUS,
  LAST_SEEN,
  { key: "os", header: "SYSTEM", value: (node) => node.os },
  { key: "version", header: "VERSION", value: (node) => node.version },
  { key: "joinedAt", header: "JOINED", value: (node) => node.joinedAt },
  { key: "certificateExpiresAt", header: "CERTIFICATE EXPIRES", value: (node) => node.certificateExpiresAt },
];

const OPENSSH_COLUMNS: readonly Column<Node>[] = [
  NAME,
  ID,
  KIND,
  ADDRESS,
  LABELS,
  { key: "hostKey", header: "HOST KEY", value: (node) => node.hostKey },
  { key: "joinedAt", header: "ADDED", value: (node) => node.joinedAt },
  { key: "lastSeen", header: "LAST SESSION", value: (node) => node.lastSeen },
  { key: "userAuthority", header: "UNDER USER CA", value: (node) => node.userAuthority },
];
