import { command, defineCommands } from "../core/plugin/commands.js";

export default defineCommands({
  mezd: [
    command({
      name: "start",
      summary: "Run every service that the config file switches on",
      description: "Auth service and proxy unless the file says otherwise; the node agent when node.enabled is true.",
      examples: ["mezd start --config=/etc/mezite/mezite.yaml"],
      async run(context) {
        const { runDaemon } = await import("./run.js");
        await runDaemon(context, { roles: null });
      },
    }),
  ],
});
