import { MezError } from "../../core/errors/error.js";
import type { CommandContext } from "../../core/plugin/commands.js";
import type { Secret } from "../../core/plugin/secret.js";
import { type TraitValues, UserServiceService } from "../../proto/gen/mezite/users/v1/users.js";

interface PasswordInput {
  readonly name: string;
  readonly password: Secret | undefined;
  readonly requireChange: boolean | undefined;
}

interface TraitInput {
  readonly logins: readonly string[] | undefined;
  readonly trait: readonly string[] | undefined;
}

/** `mezctl users create` */
export async function createUser(
  context: CommandContext,
  input: PasswordInput & TraitInput & { readonly roles: readonly string[] },
): Promise<void> {
  const client = await context.rpc(UserServiceService);
  const { user, oneTimePassword } = await client.createUser({
    name: input.name,
    roles: [...input.roles],
    internalTraits: traitsOf(input, false),
    password: passwordOf(input),
    requireChange: input.requireChange ?? false,
  });
  await printPassword(context, `user ${user?.name ?? input.name} created`, input.name, oneTimePassword);
}

/** `mezctl users list` */
export async function listUsers(context: CommandContext): Promise<void> {
  const { users } = await (await context.rpc(UserServiceService)).listUsers({});
  await context.output.rows(users, [
    { key: "name", header: "NAME", value: (user) => user.name },
    { key: "roles", header: "ROLES", value: (user) => user.roles, shrink: true },
    { key: "logins", header: "LOGINS", value: (user) => user.internalTraits["logins"]?.values ?? [], shrink: true },
    {
      key: "traits",
      header: "TRAITS",
      value: (user) =>
        Object.entries(user.internalTraits)
          .filter(([name]) => name !== "logins")
          .map(([name, { values }]) => `${name}=${values.join("|")}`),
      json: (user) => Object.fromEntries(Object.entries(user.internalTraits).map(([name, { values }]) => [name, values])),
      shrink: true,
    },
    { key: "createdAt", header: "CREATED", value: (user) => user.createdAt },
  ]);
}

/** `mezctl users update` */
export async function updateUser(
  context: CommandContext,
  input: TraitInput & { readonly name: string; readonly roles: readonly string[] | undefined },
): Promise<void> {
  const internalTraits = traitsOf(input, true);
  if (input.roles === undefined && Object.keys(internalTraits).length === 0) {
    throw new MezError("INVALID_ARGUMENT", "nothing to change; give --roles, --logins or --trait");
  }
  const client = await context.rpc(UserServiceService);
  await client.updateUser({
    name: input.name,
    roles: input.roles === undefined ? undefined : { names: [...input.roles] },
    internalTraits,
  });
  context.output.note(`user ${input.name} updated`);
}

/** `mezctl users reset-password` */
export async function resetPassword(context: CommandContext, input: PasswordInput): Promise<void> {
  const client = await context.rpc(UserServiceService);
  const { oneTimePassword } = await client.resetPassword({
    name: input.name,
    password: passwordOf(input),
    requireChange: input.requireChange ?? false,
  });
  await printPassword(context, `password of ${input.name} reset; login sessions ended`, input.name, oneTimePassword);
}

/** `mezctl users delete` */
export async function deleteUser(context: CommandContext, name: string): Promise<void> {
  await (await context.rpc(UserServiceService)).deleteUser({ name });
  context.output.note(`user ${name} deleted; login sessions ended`);
}

// --- internal ---

function passwordOf({ password, requireChange }: PasswordInput): string {
  if (password !== undefined) return password.expose();
  if (requireChange === true)
    throw new MezError(
      "INVALID_ARGUMENT",
      "--require-change goes with --password-stdin; a one-time password has to be changed anyway",
    );
  return "";
}

async function printPassword(context: CommandContext, done: string, userName: string, oneTimePassword: string): Promise<void> {
  context.output.note(done);
  if (oneTimePassword === "") return;
  await context.output.record({ userName, oneTimePassword }, [
    { key: "userName", header: "USER", value: (row) => row.userName },
    { key: "oneTimePassword", header: "ONE-TIME PASSWORD", value: (row) => row.oneTimePassword },
  ]);
  context.output.note("shown only now; it has to be changed at the first login");
}

/** @param mayRemove Whether `name=` is a request to remove the trait. */
function traitsOf({ logins, trait }: TraitInput, mayRemove: boolean): Record<string, TraitValues> {
  const traits = new Map<string, string[]>();
  if (logins !== undefined) traits.set("logins", [...logins]);
  for (const text of trait ?? []) {
    const at = text.indexOf("=");
    const [name, value] = [text.slice(0, at), text.slice(at + 1)];
    if (at < 1) throw new MezError("INVALID_ARGUMENT", `trait "${text.slice(0, 60)}" is not valid; write it like team=core`);
    if (value === "" && !mayRemove) throw new MezError("INVALID_ARGUMENT", `trait "${name}" is empty; write it like team=core`);
    traits.set(name, [...(traits.get(name) ?? []), ...(value === "" ? [] : [value])]);
  }
  return Object.fromEntries([...traits].map(([name, values]) => [name, { values }]));
}
