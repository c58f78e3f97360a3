import { command, defineCommands, group } from "../../core/plugin/commands.js";

export default defineCommands({
  mezctl: [
    group({
      name: "recordings",
      summary: "List, search, download and verify session recordings",
      commands: [
        command({
          name: "ls",
          summary: "List recordings, newest first",
          description: "A search with --contains is noted in the audit log.",
          examples: ["mezctl recordings ls", "mezctl recordings ls --user=alice", 'mezctl recordings ls --contains="rm -rf"'],
          flags: {
            contains: {
              type: "string",
              valueName: "text",
              description: "Only those whose terminal showed this text within one line, in whatever case",
              env: false,
            },
            user: { type: "string", valueName: "name", description: "Only sessions of this user", env: false },
            limit: { type: "integer", min: 1, max: 100_000, default: 100, description: "At most this many", env: false },
          },
          async run(context, input) {
            const { listRecordings } = await import("./list-command.js");
            await listRecordings(context, input);
          },
        }),
        command({
          name: "download",
          summary: "Download a recording (asciicast v2), for msh play or asciinema",
          description:
            "Compares it with its seal: what was changed since it was complete is refused. The download is noted in the audit log.",
          examples: [
            "mezctl recordings download 3e4c… --out=session.cast",
            "mezctl recordings download 3e4c… --out=- | asciinema cat -",
          ],
          positionals: { id: { description: "Id of the recording: that of its session" } },
          flags: {
            out: {
              type: "string",
              valueName: "file",
              description: "Where to write it; - is standard output. Default <id>.cast in this folder",
              env: false,
            },
          },
          async run(context, { id, out }) {
            const { downloadRecording } = await import("./download-command.js");
            await downloadRecording(context, id, out);
          },
        }),
        command({
          name: "verify",
          summary: "Compare a file that was downloaded before with the seal of its recording",
          examples: ["mezctl recordings verify 3e4c… --file=session.cast"],
          positionals: { id: { description: "Id of the recording: that of its session" } },
          flags: {
            file: { type: "string", valueName: "file", description: "Default <id>.cast in this folder", env: false },
          },
          async run(context, { id, file }) {
            const { verifyRecording } = await import("./verify-command.js");
            await verifyRecording(context, id, file);
          },
        }),
      ],
    }),
  ],
});
