import { command, defineCommands, group } from "../../core/plugin/commands.js";

const NAME = { name: { description: "Name of the user", aliases: ["username"] } } as const;
const PASSWORD = {
  type: "secret",
  description: "Password instead of a one-time one; better given with --password-stdin",
  env: false,
} as const;
const LOGINS = {
  type: "list",
  valueName: "names",
  description: "Login names on nodes: the trait behind {{internal.logins}}",
  env: false,
} as const;
const TRAIT = {
  type: "string",
  repeatable: true,
  valueName: "name=value",
  description: "A trait for role templates; once more for the same name adds a value",
  env: false,
} as const;

export default defineCommands({
  mezctl: [
    group({
      name: "users",
      summary: "Create, list, change and delete users",
      commands: [
        command({
          name: "create",
          summary: "Create a user; prints a one-time password unless one is given",
          description:
            "A password that the server makes has to be changed at the first login. One from --password-stdin does not, unless --require-change says so.",
          examples: [
            "mezctl users create alice --roles=developer,viewer",
            "mezctl users create bob --roles=access --logins=bob,deploy --password-stdin",
          ],
          positionals: NAME,
          flags: {
            roles: { type: "list", required: true, valueName: "names", description: "Roles of the user", env: false },
            logins: LOGINS,
            trait: TRAIT,
            password: PASSWORD,
            requireChange: {
              type: "boolean",
              description: "The given password has to be changed at the first login",
              env: false,
            },
          },
          async run(context, input) {
            const { createUser } = await import("./user-commands.js");
            await createUser(context, input);
          },
        }),
        command({
          name: "list",
          summary: "List users",
          examples: ["mezctl users list", "mezctl users list --format=json"],
          async run(context) {
            const { listUsers } = await import("./user-commands.js");
            await listUsers(context);
          },
        }),
        command({
          name: "update",
          summary: "Change roles, logins and traits of a user",
          description:
            "What is not named stays. Sessions that begin afterwards follow the change; certificates need not be replaced to lose a role.",
          examples: [
            "mezctl users update alice --roles=developer",
            "mezctl users update alice --logins=alice,deploy --trait=team=core",
          ],
          positionals: NAME,
          flags: {
            roles: { type: "list", valueName: "names", description: "Replaces all roles", env: false },
            logins: { ...LOGINS, description: "Replaces the login names" },
            trait: { ...TRAIT, description: "Replaces this trait; name= removes it" },
          },
          async run(context, input) {
            const { updateUser } = await import("./user-commands.js");
            await updateUser(context, input);
          },
        }),
        command({
          name: "reset-password",
          summary: "Give a user a new one-time password and end the login sessions",
          examples: ["mezctl users reset-password alice"],
          positionals: NAME,
          flags: {
            password: PASSWORD,
            requireChange: {
              type: "boolean",
              description: "The given password has to be changed at the first login",
              env: false,
            },
          },
          async run(context, input) {
            const { resetPassword } = await import("./user-commands.js");
            await resetPassword(context, input);
          },
        }),
        command({
          name: "delete",
          summary: "Delete a user and end the login sessions",
          examples: ["mezctl users delete --username=alice", "mezctl users delete alice"],
          positionals: NAME,
          async run(context, { name }) {
            const { deleteUser } = await import("./user-commands.js");
            await deleteUser(context, name);
          },
        }),
      ],
    }),
  ],
});
