import { command, defineCommands, group } from "../../core/plugin/commands.js";

export default defineCommands({
  mezctl: [
    group({
      name: "audit",
      summary: "Query, verify and archive the audit log",
      commands: [
        command({
          name: "ls",
          summary: "List events, newest first",
          examples: [
            "mezctl audit ls --type=session.start",
            "mezctl audit ls --type=access.denied --since=1h",
            "mezctl audit ls --user=alice --since=24h --format=json",
          ],
          flags: {
            type: {
              type: "string",
              valueName: "type",
              description: "Only this type, or with * at the end all that begin so: session.*",
              env: false,
            },
            user: { type: "string", valueName: "name", description: "Only events of this user", env: false },
            since: {
              type: "string",
              valueName: "time",
              description: "From this moment on: 24h for the last day, or 2026-03-01, or 2026-03-01T08:00:00Z",
              env: false,
            },
            until: { type: "string", valueName: "time", description: "Up to this moment, written as for --since", env: false },
            limit: { type: "integer", min: 1, max: 100_000, default: 100, description: "At most this many", env: false },
          },
          async run(context, input) {
            const { listEvents } = await import("./list-command.js");
            await listEvents(context, input);
          },
        }),
        command({
          name: "verify",
          summary: "Check that no event was changed, removed or reordered",
          description: "Recomputes the chain of hashes over the whole log. A broken chain ends with exit code 9.",
          examples: ["mezctl audit verify", "mezctl audit verify --archive"],
          flags: {
            archive: {
              type: "boolean",
              description: "Read and check the archive as well, from the first event on",
              env: false,
            },
          },
          async run(context, input) {
            const { verifyLog } = await import("./verify-command.js");
            await verifyLog(context, input);
          },
        }),
        command({
          name: "archive",
          summary: "Copy events to the archive, and remove those whose time is up",
          description:
            "Copies what is not archived yet to the bucket of the cluster, or to audit.archive_directory, by day. It may be run again at any time. What is archived and older than the setting audit_retention is then removed from the database.",
          examples: ["mezctl audit archive"],
          async run(context) {
            const { archiveLog } = await import("./archive-command.js");
            await archiveLog(context);
          },
        }),
        command({
          name: "status",
          summary: "Show how much is logged, archived and forwarded",
          examples: ["mezctl audit status"],
          async run(context) {
            const { showStatus } = await import("./status-command.js");
            await showStatus(context);
          },
        }),
      ],
    }),
  ],
});
