import { command, defineCommands, group } from "../../core/plugin/commands.js";

const NAME = { name: { description: "Name of the node" } } as const;
const HOST_KEY_FLAGS = {
  hostKey: { type: "string", env: false, description: 'The node\'s public host key, "ssh-ed25519 AAAA…"' },
  hostKeyFile: {
    type: "string",
    env: false,
    valueName: "file",
    description: "File that holds it, e.g. ssh_host_ed25519_key.pub",
  },
  verifyHostKey: {
    type: "boolean",
    env: false,
    description: "Have the auth service dial the node first, and go on only if it shows that key",
  },
} as const;
const PROXY_FLAG = { type: "boolean", env: false } as const;

export default defineCommands({
  mezctl: [
    group({
      name: "nodes",
      summary: "List, label, add and remove nodes",
      commands: [
        command({
          name: "ls",
          summary: "List the nodes that you may reach; all of them for admin and auditor",
          examples: ["mezctl nodes ls", "mezctl nodes ls --proxies"],
          flags: { proxies: { ...PROXY_FLAG, description: "List the proxies that have joined instead" } },
          async run(context, { proxies }) {
            const { listNodes } = await import("./node-commands.js");
            await listNodes(context, proxies ? "proxy" : "node");
          },
        }),
        command({
          name: "get",
          summary: "Show everything known of a node",
          examples: ["mezctl nodes get web-01"],
          positionals: NAME,
          async run(context, { name }) {
            const { showNode } = await import("./node-commands.js");
            await showNode(context, name);
          },
        }),
        command({
          name: "add",
          summary: "Add a machine without an agent, whose own sshd trusts the User CA",
          description:
            "Sessions go through the proxy, which knows the machine by this one host key, logs in with a certificate made for the session, and records. Agents are not added: they join with a token of mezctl tokens create.",
          examples: [
            "mezctl nodes add --openssh --name=db-01 --host=db-01.internal --port=22 --labels=env=production --host-key-file=/etc/ssh/ssh_host_ed25519_key.pub --verify-host-key",
          ],
          flags: {
            openssh: { type: "boolean", env: false, description: "The machine is reached through its own OpenSSH server" },
            name: { type: "string", required: true, env: false, description: "Name of the node in the cluster" },
            host: { type: "string", required: true, env: false, description: "Host name or IP address, as proxies see it" },
            port: { type: "integer", default: 22, min: 1, max: 65_535, env: false, description: "Port of its sshd" },
            labels: { type: "labels", env: false, description: "Labels that roles select the node by, k=v,k2=v2" },
            ...HOST_KEY_FLAGS,
          },
          async run(context, input) {
            const { addNode } = await import("./openssh-node-commands.js");
            await addNode(context, input);
          },
        }),
        command({
          name: "rotate-host-key",
          summary: "Replace the host key by which a node without an agent is known",
          description: "Sessions under way go on; new ones are refused unless the node shows the new key.",
          examples: ["mezctl nodes rotate-host-key db-01 --host-key-file=/etc/ssh/ssh_host_ed25519_key.pub"],
          positionals: NAME,
          flags: HOST_KEY_FLAGS,
          async run(context, { name, ...input }) {
            const { rotateHostKey } = await import("./openssh-node-commands.js");
            await rotateHostKey(context, name, input);
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
          examples: ["mezctl nodes rm web-01"],
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
