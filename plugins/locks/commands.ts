import { command, defineCommands, group } from "../../core/plugin/commands.js";

const TYPES = ["user", "role", "agent", "agent_identity", "agent_identity_instance", "device"] as const;

export default defineCommands({
  mezctl: [
    group({
      name: "locks",
      summary: "Lock people, roles, agents and identities out, at once",
      commands: [
        command({
          name: "create",
          summary: "Lock a target: no login, no calls, no certificates, no sessions; live sessions end",
          description:
            "Names exactly one target. The command returns when the lock is stored; live sessions end within a second of that. " +
            "A target can carry several locks, and stays locked until the last of them is gone.",
          examples: [
            'mezctl locks create --user=alice --message="Security review"',
            "mezctl locks create --role=on-call-prod --ttl=2h",
            "mezctl locks create --type=agent_identity --name=ci-bot",
          ],
          flags: {
            user: { type: "string", env: false, description: "Lock this user" },
            role: { type: "string", env: false, description: "Lock everybody who holds this role" },
            agent: { type: "string", env: false, description: "Lock the node or proxy of this name" },
            device: { type: "string", env: false, description: "Lock the device with this id" },
            type: { type: "enum", choices: TYPES, env: false, description: "Kind of target; goes with --name" },
            name: { type: "string", env: false, description: "Name of the target; the id of an instance or a device" },
            ttl: { type: "duration", env: false, description: "The lock ends by itself after this; default: it stays" },
            message: { type: "string", env: false, valueName: "text", description: "Shown to whoever is locked out" },
          },
          async run(context, input) {
            const { createLock } = await import("./lock-commands.js");
            await createLock(context, input);
          },
        }),
        command({
          name: "list",
          summary: "List the locks that hold, newest first",
          examples: ["mezctl locks list"],
          async run(context) {
            const { listLocks } = await import("./lock-commands.js");
            await listLocks(context);
          },
        }),
        command({
          name: "delete",
          summary: "Delete one lock by its id, or every lock on a target",
          examples: ["mezctl locks delete --target-type=user --target-name=alice", "mezctl locks delete 7f3a…"],
          positionals: { id: { description: "Id of the lock", required: false } },
          flags: {
            targetType: { type: "enum", choices: TYPES, env: false, description: "Kind of target; goes with --target-name" },
            targetName: { type: "string", env: false, description: "Name of the target" },
          },
          async run(context, input) {
            const { deleteLocks } = await import("./lock-commands.js");
            await deleteLocks(context, input);
          },
        }),
      ],
    }),
  ],
});
