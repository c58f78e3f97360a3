import { type CommandContext, command, defineCommands, group } from "mezite/plugin";
import { FREEZE_RPC } from "./freeze-rpc.js";

const node = { description: "Name of the machine; * for all" };
const reason = { type: "string", description: "Shown to whoever is refused", env: false } as const;

/** For administrators who have this package on their machine; others get what `plugin.json` describes. */
export default defineCommands({
  mezctl: [
    group({
      name: "freezes",
      summary: "Let nobody work on machines for a while",
      commands: [
        command({
          name: "create",
          summary: "Freeze a machine: sessions there end, and none begins",
          examples: ["mezctl freezes create web-01 --ttl=2h"],
          positionals: { node },
          flags: { ttl: { type: "duration", required: true, description: "How long", env: false }, reason },
          run: (context, { node: name, ttl, reason: why = "" }) => freeze(context, name, ttl, why),
        }),
        command({
          name: "lunch",
          summary: "Freeze a machine for an hour",
          examples: ["mezctl freezes lunch web-01"],
          positionals: { node },
          flags: { reason },
          run: (context, { node: name, reason: why = "" }) => freeze(context, name, 3600, why),
        }),
        command({
          name: "ls",
          summary: "List the freezes that hold",
          examples: ["mezctl freezes ls"],
          async run(context) {
            const client = await context.rpc(FREEZE_RPC.definition);
            const { freezes } = await client.listFreezes({}, { signal: context.signal });
            await context.output.rows(freezes, [
              { key: "id", header: "ID", value: ({ id }) => id },
              { key: "node", header: "NODE", value: (row) => row.node },
              { key: "reason", header: "REASON", value: (row) => row.reason },
              { key: "createdBy", header: "CREATED BY", value: ({ createdBy }) => createdBy },
              { key: "expiresAt", header: "EXPIRES", value: ({ expiresAt }) => expiresAt },
            ]);
          },
        }),
        command({
          name: "lift",
          summary: "Lift a freeze before its time",
          examples: ["mezctl freezes lift 4b7e6a52-10f0-4f4e-9a34-0f6f3f1f6c11"],
          positionals: { id: { description: "Id of the freeze" } },
          async run(context, { id }) {
            const client = await context.rpc(FREEZE_RPC.definition);
            await client.liftFreeze({ id }, { signal: context.signal });
          },
        }),
      ],
    }),
  ],
});

async function freeze(context: CommandContext, name: string, ttlSeconds: number, why: string): Promise<void> {
  const client = await context.rpc(FREEZE_RPC.definition);
  const { freeze: made } = await client.createFreeze({ node: name, reason: why, ttlSeconds }, { signal: context.signal });
  context.output.note(`${name} is frozen until ${made?.expiresAt?.toISOString()}`);
}
