import { command, defineCommands, group } from "../../core/plugin/commands.js";

const NAME = { name: { description: "Name of the workload identity" } } as const;

export default defineCommands({
  mezctl: [
    group({
      name: "workload-identities",
      summary: "Create, show and remove the SPIFFE identities of programs",
      commands: [
        command({
          name: "create",
          summary: "Create or update a workload identity from a YAML or JSON file",
          description: "Programs that match its selectors get SVIDs from the socket of mezd identity on their host.",
          examples: [
            "mezctl workload-identities create --from-file=workload.yaml",
            "mezctl workload-identities get payments | mezctl workload-identities create --from-file=-",
          ],
          flags: {
            fromFile: {
              type: "string",
              required: true,
              valueName: "file",
              description: "The workload identity; - reads standard input",
              aliases: ["file"],
              env: false,
            },
          },
          async run(context, { fromFile }) {
            const { createWorkload } = await import("./workload-commands.js");
            await createWorkload(context, fromFile);
          },
        }),
        command({
          name: "ls",
          summary: "List workload identities",
          examples: ["mezctl workload-identities ls"],
          async run(context) {
            const { listWorkloads } = await import("./workload-commands.js");
            await listWorkloads(context);
          },
        }),
        command({
          name: "get",
          summary: "Print a workload identity as YAML, or as JSON with --format=json",
          examples: ["mezctl workload-identities get payments > workload.yaml"],
          positionals: NAME,
          async run(context, { name }) {
            const { printWorkload } = await import("./workload-commands.js");
            await printWorkload(context, name);
          },
        }),
        command({
          name: "rm",
          summary: "Remove a workload identity: from then on no program gets or keeps its SVIDs",
          examples: ["mezctl workload-identities rm payments"],
          positionals: NAME,
          async run(context, { name }) {
            const { removeWorkload } = await import("./workload-commands.js");
            await removeWorkload(context, name);
          },
        }),
      ],
    }),
  ],
});
