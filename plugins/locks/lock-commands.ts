import { MezError } from "../../core/errors/error.js";
import type { Column, CommandContext } from "../../core/plugin/commands.js";
import { type Lock, LockServiceService, type LockTarget } from "../../proto/gen/mezite/locks/v1/locks.js";

export interface CreateLockInput {
  readonly user: string | undefined;
  readonly role: string | undefined;
  readonly agent: string | undefined;
  readonly device: string | undefined;
  readonly type: string | undefined;
  readonly name: string | undefined;
  readonly ttl: number | undefined;
  readonly message: string | undefined;
}

export interface DeleteLocksInput {
  readonly id: string | undefined;
  readonly targetType: string | undefined;
  readonly targetName: string | undefined;
}

/** `mezctl locks create` */
export async function createLock(context: CommandContext, input: CreateLockInput): Promise<void> {
  const request = { target: targetOf(input), message: input.message ?? "", ttlSeconds: input.ttl ?? 0 };
  const client = await context.rpc(LockServiceService);
  const { lock, notice } = await client.createLock(request, { signal: context.signal });
  if (lock !== undefined) await context.output.record(lock, COLUMNS);
  if (notice !== "") context.output.note(notice);
}

/** `mezctl locks list` */
export async function listLocks(context: CommandContext): Promise<void> {
  const client = await context.rpc(LockServiceService);
  const { locks } = await client.listLocks({}, { signal: context.signal });
  await context.output.rows(locks, COLUMNS);
}

/** `mezctl locks delete` */
export async function deleteLocks(context: CommandContext, input: DeleteLocksInput): Promise<void> {
  const which = whichOf(input);
  const client = await context.rpc(LockServiceService);
  const { locks } = await client.deleteLocks({ which }, { signal: context.signal });
  for (const { id, target } of locks) context.output.note(`deleted lock ${id} on ${target?.type} ${target?.name}`);
}

/**
 * The one target that the flags name.
 * @throws {MezError} `INVALID_ARGUMENT` for none, for two, and for half of one
 */
export function targetOf({ user, role, agent, device, type, name }: Omit<CreateLockInput, "ttl" | "message">): LockTarget {
  if ((type === undefined) !== (name === undefined))
    throw new MezError("INVALID_ARGUMENT", "--type and --name go together, e.g. --type=agent_identity --name=ci-bot");
  const targets = Object.entries({ user, role, agent, device, ...(type === undefined ? {} : { [`type=${type}`]: name }) })
    .map(([flag, value]) => ({ flag: `--${flag}`, type: flag.replace("type=", ""), name: value }))
    .filter((target): target is typeof target & { name: string } => target.name !== undefined);
  const [target, second] = targets;
  if (target === undefined)
    throw new MezError(
      "INVALID_ARGUMENT",
      "a lock needs a target; give --user, --role, --agent, --device, or --type with --name",
    );
  if (second !== undefined)
    throw new MezError("INVALID_ARGUMENT", `a lock has one target; give ${target.flag} or ${second.flag}, not both`);
  return { type: target.type, name: target.name };
}

// --- internal ---

type Which = { readonly $case: "id"; readonly id: string } | { readonly $case: "target"; readonly target: LockTarget };

function whichOf({ id, targetType: type, targetName: name }: DeleteLocksInput): Which {
  if (id !== undefined && type === undefined && name === undefined) return { $case: "id", id };
  if (id === undefined && type !== undefined && name !== undefined) return { $case: "target", target: { type, name } };
  throw new MezError(
    "INVALID_ARGUMENT",
    id === undefined
      ? "say which lock: its id, or --target-type and --target-name together"
      : "give the id of a lock or a target, not both",
  );
}

const COLUMNS: readonly Column<Lock>[] = [
  { key: "id", header: "ID", value: (lock) => lock.id },
  { key: "targetType", header: "TYPE", value: (lock) => lock.target?.type },
  { key: "targetName", header: "NAME", value: (lock) => lock.target?.name, shrink: true },
  { key: "message", header: "MESSAGE", value: (lock) => lock.message, shrink: true },
  { key: "createdBy", header: "CREATED BY", value: (lock) => lock.createdBy, shrink: true },
  { key: "createdAt", header: "CREATED", value: (lock) => lock.createdAt },
  { key: "expiresAt", header: "EXPIRES", value: (lock) => lock.expiresAt },
];
