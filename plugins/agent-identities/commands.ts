import { command, defineCommands, group } from "../../core/plugin/commands.js";

const NAME = { name: { description: "Name of the agent identity" } } as const;
const TOKEN_TTL = {
  type: "duration",
  default: "1h",
  env: false,
  minSeconds: 60,
  maxSeconds: 86_400,
  description: "How long the token can be used, 1m to 24h",
} as const;

export default defineCommands({
  mezctl: [
    group({
      name: "agent-identities",
      summary: "Create, show and remove the identities of machines",
      commands: [
        command({
          name: "add",
          summary: "Create an agent identity; prints a one-time token for mezd identity",
          description:
            "The identity has the roles that are named here, and none of yours. The token is shown once; the server keeps only keys that were derived from it.",
          examples: ["mezctl agent-identities add --name=github-deploy --roles=ci-deployer --token-ttl=1h"],
          positionals: NAME,
          flags: {
            roles: { type: "list", valueName: "names", description: "Roles of the identity", env: false },
            tokenTtl: TOKEN_TTL,
          },
          async run(context, input) {
            const { addIdentity } = await import("./identity-commands.js");
            await addIdentity(context, input);
          },
        }),
        command({
          name: "add-token",
          summary: "Make one more token: each makes one more instance of the identity",
          examples: ["mezctl agent-identities add-token github-deploy"],
          positionals: NAME,
          flags: { tokenTtl: TOKEN_TTL },
          async run(context, input) {
            const { addToken } = await import("./identity-commands.js");
            await addToken(context, input);
          },
        }),
        command({
          name: "ls",
          summary: "List all agent identities",
          examples: ["mezctl agent-identities ls"],
          async run(context) {
            const { listIdentities } = await import("./identity-commands.js");
            await listIdentities(context);
          },
        }),
        command({
          name: "status",
          summary: "Show an agent identity: status, roles, generation, last seen",
          examples: ["mezctl agent-identities status github-deploy"],
          positionals: NAME,
          async run(context, { name }) {
            const { showIdentity } = await import("./identity-commands.js");
            await showIdentity(context, name);
          },
        }),
        command({
          name: "rm",
          summary: "Remove an agent identity: its tokens, its renewals and its live sessions end",
          examples: ["mezctl agent-identities rm github-deploy"],
          positionals: NAME,
          async run(context, { name }) {
            const { removeIdentity } = await import("./identity-commands.js");
            await removeIdentity(context, name);
          },
        }),
      ],
    }),
  ],
});
