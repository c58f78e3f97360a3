import { command, defineCommands, group } from "../../core/plugin/commands.js";

export default defineCommands({
  mezctl: [
    group({
      name: "roles",
      summary: "Create, show and delete roles",
      commands: [
        command({
          name: "create",
          summary: "Create or update a role from a YAML or JSON file",
          examples: [
            "mezctl roles create --from-file=role-developer.yaml",
            "mezctl roles get developer | mezctl roles create --from-file=-",
          ],
          flags: {
            fromFile: {
              type: "string",
              required: true,
              valueName: "file",
              description: "The role; - reads standard input",
              aliases: ["file"],
              env: false,
            },
          },
          async run(context, { fromFile }) {
            const { createRole } = await import("./role-commands.js");
            await createRole(context, fromFile);
          },
        }),
        command({
          name: "ls",
          summary: "List roles",
          examples: ["mezctl roles ls"],
          async run(context) {
            const { listRoles } = await import("./role-commands.js");
            await listRoles(context);
          },
        }),
        command({
          name: "get",
          summary: "Print a role as YAML, or as JSON with --format=json",
          examples: ["mezctl roles get developer > role-developer.yaml"],
          positionals: { name: { description: "Name of the role" } },
          async run(context, { name }) {
            const { printRole } = await import("./role-commands.js");
            await printRole(context, name);
          },
        }),
        command({
          name: "delete",
          summary: "Delete a role that no user holds",
          examples: ["mezctl roles delete developer"],
          positionals: { name: { description: "Name of the role" } },
          async run(context, { name }) {
            const { deleteRole } = await import("./role-commands.js");
            await deleteRole(context, name);
          },
        }),
      ],
    }),
  ],
});
