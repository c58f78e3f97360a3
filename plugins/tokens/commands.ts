import { command, defineCommands, group } from "../../core/plugin/commands.js";

export default defineCommands({
  mezctl: [
    group({
      name: "tokens",
      summary: "Make, list and delete join tokens",
      commands: [
        command({
          name: "create",
          summary: "Make a one-time token with which a node or proxy joins",
          description:
            "The token is shown once. The server keeps only keys that were derived from it, and joining never sends it.",
          examples: ["mezctl tokens create --roles=node --ttl=1h", "mezctl tokens create --roles=proxy --name=proxy-fra"],
          flags: {
            roles: { type: "list", required: true, env: false, description: "What may join with it: node, proxy" },
            ttl: {
              type: "duration",
              default: "1h",
              env: false,
              minSeconds: 60,
              maxSeconds: 86_400,
              description: "How long it can be used, 1m to 24h",
            },
            name: { type: "string", env: false, description: "A name for tokens list and tokens delete" },
          },
          async run(context, input) {
            const { createToken } = await import("./token-commands.js");
            await createToken(context, input);
          },
        }),
        command({
          name: "list",
          summary: "List the tokens that can still be used, without their secrets",
          examples: ["mezctl tokens list"],
          async run(context) {
            const { listTokens } = await import("./token-commands.js");
            await listTokens(context);
          },
        }),
        command({
          name: "delete",
          summary: "Delete a token before it is used",
          examples: ["mezctl tokens delete proxy-fra"],
          positionals: { nameOrId: { description: "Name or id of the token" } },
          async run(context, { nameOrId }) {
            const { deleteToken } = await import("./token-commands.js");
            await deleteToken(context, nameOrId);
          },
        }),
      ],
    }),
  ],
});
