import { command, defineCommands, group } from "../../core/plugin/commands.js";

export default defineCommands({
  mezctl: [
    group({
      name: "recordings",
      summary: "List and download session recordings",
      commands: [
        command({
          name: "ls",
          summary: "List recordings, newest first",
          examples: ["mezctl recordings ls", "mezctl recordings ls --user=alice"],
          flags: {
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
          description: "The download is noted in the audit log.",
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
      ],
    }),
  ],
});
