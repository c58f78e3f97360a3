import { command, defineCommands, group } from "../core/plugin/commands.js";

export default defineCommands({
  mezd: [
    group({
      name: "database",
      summary: "Move the database of a cluster to another place",
      commands: [
        command({
          name: "move",
          summary: "Copy the database into an empty one and compare each row",
          description:
            "From the database of --config to that of --to, which has to be empty: from SQLite to PostgreSQL, or back. All auth servers have to be stopped; the old database stays as it is.",
          examples: ["mezd database move --config=/etc/mezite/mezite.yaml --to=/etc/mezite/mezite.new.yaml"],
          flags: {
            to: {
              type: "string",
              required: true,
              env: false,
              valueName: "file",
              description: "config file with the new section database, and everything else as it is",
            },
          },
          async run(context, { to }) {
            const { moveTo } = await import("./move-database.js");
            await moveTo(context, to);
          },
        }),
      ],
    }),
  ],
});
