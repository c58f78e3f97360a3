import { command, defineCommands } from "../core/plugin/commands.js";
import { JOIN_FLAGS } from "./join-flags.js";

export default defineCommands({
  mezd: [
    command({
      name: "node",
      summary: "Run the agent of this host alone",
      description:
        "Dials out to the proxy and opens no port. Joins with a one-time token at the first start: mezctl tokens create --roles=node.",
      examples: ["mezd node --auth-server=auth.example.com:3025 --token-file=/run/secrets/join --labels=env=prod,role=web"],
      flags: {
        ...JOIN_FLAGS,
        name: {
          type: "string",
          env: "MEZITE_NODE_NAME",
          description: "Name of the node (default: the host's)",
          valueName: "name",
        },
        labels: { type: "labels", env: "MEZITE_NODE_LABELS", description: "Labels of the node", valueName: "key=value,…" },
        proxy: {
          type: "list",
          env: "MEZITE_NODE_PROXY_ADDRS",
          description:
            "Tunnel addresses of the proxies (default: the auth service's host, port 3024; its own address at port 443)",
          valueName: "host:port",
        },
      },
      async run(context, input) {
        const { runDaemon } = await import("./run.js");
        const { name, labels, proxy, ...join } = input;
        const laid = [
          { path: ["node", "name"], value: name, flag: "--name" },
          { path: ["node", "labels"], value: labels, flag: "--labels" },
          { path: ["node", "proxy_addrs"], value: proxy, flag: "--proxy" },
        ];
        await runDaemon(context, { roles: ["node"], ...join, laid });
      },
    }),
  ],
});
