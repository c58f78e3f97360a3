import { command, defineCommands, group } from "../../core/plugin/commands.js";

export default defineCommands({
  mezctl: [
    group({
      name: "integrations",
      summary: "Have clouds trust identities of this cluster",
      description:
        "An integration lets programs of this cluster trade their identity for short-lived credentials of a cloud. The server " +
        "never calls the cloud: it says what to do there, and you, or mezctl with your credentials, do it.",
      commands: [
        command({
          name: "ls",
          summary: "List the kinds of integrations that the server has, and their parameters",
          examples: ["mezctl integrations ls"],
          async run(context) {
            const { listIntegrations } = await import("./integration-commands.js");
            await listIntegrations(context);
          },
        }),
        command({
          name: "plan",
          summary: "Print what to do on the other side, for a kind of any plugin",
          description: "A shell script to read and run; --format=json shows documents and commands. Nothing is changed anywhere.",
          examples: ["mezctl integrations plan aws-oidc --set=account=123456789012 --set=role_name=MeziteWorkloadRole"],
          positionals: { kind: { description: "One of mezctl integrations ls" } },
          flags: {
            set: {
              type: "string",
              repeatable: true,
              env: false,
              valueName: "parameter=value",
              description: "A parameter of the kind",
            },
          },
          async run(context, input) {
            const { planIntegration } = await import("./integration-commands.js");
            await planIntegration(context, input.kind, input.set ?? []);
          },
        }),
      ],
    }),
  ],
});
