import { command, defineCommands } from "../core/plugin/commands.js";
import { JOIN_FLAGS } from "./join-flags.js";

export default defineCommands({
  mezd: [
    command({
      name: "proxy",
      summary: "Run a proxy alone",
      description: "Joins with a one-time token at the first start: mezctl tokens create --roles=proxy.",
      examples: ["mezd proxy --auth-server=auth.example.com:3025 --token-file=/run/secrets/join"],
      flags: JOIN_FLAGS,
      async run(context, input) {
        const { runDaemon } = await import("./run.js");
        await runDaemon(context, { roles: ["proxy"], ...input });
      },
    }),
  ],
});
