import { command, defineCommands, group } from "../../core/plugin/commands.js";

export default defineCommands({
  mezctl: [
    group({
      name: "sessions",
      summary: "List and terminate live sessions",
      commands: [
        command({
          name: "ls",
          summary: "List the sessions that are under way, oldest first",
          examples: ["mezctl sessions ls"],
          async run(context) {
            const { listSessions } = await import("./session-commands.js");
            await listSessions(context);
          },
        }),
        command({
          name: "terminate",
          summary: "End a session at once, at the proxy and at the node",
          examples: ['mezctl sessions terminate 3e4c… --reason="maintenance"'],
          positionals: { id: { description: "Id of the session" } },
          flags: {
            reason: { type: "string", valueName: "text", env: false, description: "Shown to the person whose session it is" },
          },
          async run(context, { id, reason }) {
            const { terminateSession } = await import("./session-commands.js");
            await terminateSession(context, id, reason);
          },
        }),
      ],
    }),
  ],
});
