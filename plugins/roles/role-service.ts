import { MezError } from "../../core/errors/error.js";
import { authorOf } from "../../core/plugin/audit-author.js";
import type { CollectionSource } from "../../core/plugin/collection.js";
import type { Database, Transaction } from "../../core/plugin/database.js";
import type { CallContext } from "../../core/plugin/rpc.js";
import type { Clock } from "../../core/time/clock.js";
import { type HolderSearch, ROLES_COLLECTION, type Role, type Roles } from "./api.js";
import { BUILT_IN_ROLES, isBuiltIn } from "./built-in-roles.js";
import { checkRole, isRoleName } from "./role-check.js";
import { deleteRole, findRole, findRoles, roleExists, saveRole } from "./role-repository.js";

/** The use cases of roles, one transaction each. */
export class RoleService implements Roles, CollectionSource<Role> {
  readonly #guards = new Set<HolderSearch>();

  constructor(
    private readonly database: Database,
    private readonly clock: Clock,
  ) {}

  /** Built-in and stored roles, sorted by name. */
  async list(): Promise<readonly Role[]> {
    const stored = await this.database.read(findRoles);
    return [...BUILT_IN_ROLES, ...stored].sort((left, right) => (left.name < right.name ? -1 : 1));
  }

  async entries(): Promise<readonly (readonly [string, Role])[]> {
    return (await this.list()).map((role) => [role.name, role] as const);
  }

  /** @throws {MezError} `ROLE_NOT_FOUND` */
  async get(name: string): Promise<Role> {
    const role =
      BUILT_IN_ROLES.find((builtIn) => builtIn.name === name) ??
      (isRoleName(name) ? await this.database.read((em) => findRole(em, name)) : null);
    if (role === null) throw notFound(name);
    return role;
  }

  /**
   * Creates a role or replaces the one of that name; it holds for sessions that begin afterwards.
   * @returns `true` when it is new.
   * @throws {MezError} `INVALID_ARGUMENT`, `ROLE_BUILT_IN`
   */
  async put(role: Role, call: CallContext): Promise<boolean> {
    checkRole(role);
    if (isBuiltIn(role.name))
      throw new MezError("ROLE_BUILT_IN", `role "${role.name}" is built in and cannot be changed; choose another name`);
    return this.database.transaction(async (tx) => {
      const isNew = await saveRole(tx.em, role, this.clock.now());
      tx.put(ROLES_COLLECTION, role.name, role);
      tx.audit({
        ...authorOf(call),
        type: isNew ? "role.created" : "role.updated",
        resourceType: "role",
        resourceName: role.name,
        metadata: { role },
      });
      return isNew;
    });
  }

  /** @throws {MezError} `ROLE_NOT_FOUND`, `ROLE_BUILT_IN`, `ROLE_IN_USE` naming who holds it. */
  async delete(name: string, call: CallContext): Promise<void> {
    if (isBuiltIn(name)) throw new MezError("ROLE_BUILT_IN", `role "${name}" is built in and cannot be deleted`);
    await this.database.transaction(async (tx) => {
      await this.requireAll(tx, [name]);
      const holders = (await Promise.all([...this.#guards].map((search) => search(tx, name)))).flat();
      if (holders.length > 0) throw inUse(name, holders);
      await deleteRole(tx.em, name);
      tx.remove(ROLES_COLLECTION, name);
      tx.audit({ ...authorOf(call), type: "role.deleted", resourceType: "role", resourceName: name });
    });
  }

  async requireAll(tx: Transaction, names: readonly string[]): Promise<void> {
    for (const name of names) {
      if (!isRoleName(name) || !(isBuiltIn(name) || (await roleExists(tx.em, name)))) throw notFound(name);
    }
  }

  guardDeletion(search: HolderSearch): () => void {
    this.#guards.add(search);
    return () => void this.#guards.delete(search);
  }
}

// --- internal ---

function notFound(name: string): MezError {
  return new MezError("ROLE_NOT_FOUND", `there is no role "${name.replace(/\p{Cc}/gu, "?").slice(0, 64)}"`);
}

function inUse(name: string, holders: readonly string[]): MezError {
  const shown = holders.slice(0, 5).join(", ");
  const rest = holders.length > 5 ? ` and ${holders.length - 5} more` : "";
  const machines = holders.filter((holder) => holder.startsWith("identity/"));
  const ways = [
    ...(machines.length < holders.length ? ["take it from people with mezctl users update --roles"] : []),
    ...(machines.length > 0 ? ["remove identities with mezctl agent-identities rm"] : []),
  ];
  return new MezError("ROLE_IN_USE", `role "${name}" is held by ${shown}${rest}; first ${ways.join(", and ")}`);
}
