import type { Column, CommandContext } from "../../core/plugin/commands.js";
import { type Node, NodeServiceService } from "../../proto/gen/mezite/nodes/v1/nodes.js";

const COLUMNS: readonly Column<Node>[] = [
  { key: "name", header: "Name", value: (node) => node.name },
  { key: "online", header: "Status", value: (node) => (node.online ? "online" : "offline"), json: (node) => node.online },
  { key: "hostname", header: "Host name", value: (node) => node.hostname },
  { key: "labels", header: "Labels", value: (node) => node.labels, json: (node) => node.labels, shrink: true },
];

/** `msh ls` */
export async function listNodes(context: CommandContext): Promise<void> {
  const client = await context.rpc(NodeServiceService);
  const nodes: Node[] = [];
  for await (const page of client.listNodes({ role: "node", brief: true }, { signal: context.signal })) nodes.push(...page.nodes);
  await context.output.rows(nodes, COLUMNS);
  if (nodes.length === 0 && context.isTerminal) context.output.note("there is no node that your roles reach");
}
