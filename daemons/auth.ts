import { command, defineCommands } from "../core/plugin/commands.js";

export default defineCommands({
  mezd: [
    command({
      name: "auth",
      summary: "Run the auth service alone",
      examples: ["mezd auth --config=/etc/mezite/mezite.yaml"],
      async run(context) {
        const { runDaemon } = await import("./run.js");
        await runDaemon(context, { roles: ["auth"] });
      },
    }),
  ],
});
