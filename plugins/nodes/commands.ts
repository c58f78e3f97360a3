import { command, defineCommands, group } from "../../core/plugin/commands.js";

const NAME = { name: { description: "Name of the node" } } as const;
const PROXY_FLAG = { type: "boolean", env: false } as const;

export default defineCommands({
  mezctl: [
    group({
      name: "nodes",
      summary: "List, label and remove nodes",
      commands: [
        command({
          name: "ls",
          summary: "List the nodes that you may reach; all of them for admin and auditor",
          flags: { proxies: { ...PROXY_FLAG, description: "List the proxies that have joined instead" } },
          async run(context, { proxies }) {
            const { listNodes } = await import("./node-commands.js");
            await listNodes(context, proxies ? "proxy" : "node");
          },
        }),
        command({
          name: "get",
          summary: "Show everything known of a node",
          positionals: NAME,
          async run(context, { name }) {
            const { showNode } = await import("./node-commands.js");
            await showNode(context, name);
          },
        }),
        command({
          name: "update",
          summary: "Set the labels of a node",
          description:
            "Replaces the labels that administrators have set; those from the agent's own configuration stay, and count where no administrator's says otherwise.",
          examples: ["mezctl nodes update web-01 --labels env=staging,role=web"],
          positionals: NAME,
          flags: {
            labels: {
              type: "labels",
              required: true,
              allowEmpty: true,
              env: false,
              description: "All labels that administrators set, k=v,k2=v2",
            },
          },
          async run(context, { name, labels }) {
            const { updateNode } = await import("./node-commands.js");
            await updateNode(context, name, labels);
          },
        }),
        command({
          name: "rm",
          summary: "Remove a node: its tunnel ends and its certificates are refused",
          positionals: NAME,
          flags: { proxy: { ...PROXY_FLAG, description: "Remove the proxy of that name" } },
          async run(context, { name, proxy }) {
            const { removeNode } = await import("./node-commands.js");
            await removeNode(context, name, proxy ? "proxy" : "node");
          },
        }),
      ],
    }),
  ],
});
