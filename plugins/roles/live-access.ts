import type { Collection } from "../../core/plugin/collection.js";
import type { Clock } from "../../core/time/clock.js";
import { AccessPolicy } from "./access-policy.js";
import {
  type Access,
  type AccessDecision,
  type AccessNode,
  type AccessSubject,
  type DeviceEntry,
  type Holdings,
  MACHINE_PREFIX,
  type MachineInstanceEntry,
  type Role,
  type SessionOptions,
  type UserEntry,
} from "./api.js";
import { type CompiledRole, compileRole } from "./compiled-role.js";
import { type GrantSource, LiveGrants } from "./live-grants.js";

/** The live copies that tell machines. */
export interface MachineCopies {
  readonly machines: Pick<Collection<UserEntry>, "get">;
  readonly instances: Pick<Collection<MachineInstanceEntry>, "get">;
  /** Of people; without it nobody is at a device. */
  readonly devices?: Pick<Collection<DeviceEntry>, "get">;
}

/** The live copy of what was granted for a time, and the clock that ends it. */
export interface GrantCopies {
  readonly grants: GrantSource;
  readonly clock: Clock;
}

/**
 * Decides from the live copies of roles, users and machines. Each role is compiled once, each person's policy is worked out once
 * for a set of certificate roles, and both are dropped when the copy changes.
 */
export class LiveAccess implements Access {
  readonly #compiled = new Map<string, CompiledRole>();
  // Keyed by the entry itself: a changed user is another object, so nothing has to be invalidated.
  #policies = new WeakMap<UserEntry, UserPolicies>();
  readonly #grants: LiveGrants;
  readonly #stop: () => void;

  constructor(
    private readonly roles: Collection<Role>,
    private readonly users: Collection<UserEntry>,
    private readonly copies: MachineCopies = NO_MACHINES,
    granted: GrantCopies = NO_GRANTS,
  ) {
    this.#grants = new LiveGrants(granted.grants, granted.clock);
    const stops = [
      roles.onChange((name) => {
        this.#compiled.delete(name);
        this.#policies = new WeakMap();
      }),
      this.#grants.onChange((user) => {
        const entry = users.get(user);
        if (entry !== undefined) this.#policies.delete(entry);
      }),
    ];
    this.#stop = () => stops.forEach((stop) => void stop());
  }

  holdings(user: string): Holdings {
    const entry = this.users.get(user);
    if (entry === undefined) return { roles: [], until: null };
    return this.#grants.holdings(user, entry.roles);
  }

  decide({ node, login, proofs, ...subject }: Parameters<Access["decide"]>[0]): AccessDecision {
    const shown = { ...proofs, isAtDevice: this.#isAtDevice(subject) };
    return this.#policy(subject)?.decide(node, login, shown) ?? this.#unknown(subject, node);
  }

  decideReach({ node, proofs, ...subject }: Parameters<Access["decideReach"]>[0]): AccessDecision {
    const shown = { ...proofs, isAtDevice: this.#isAtDevice(subject) };
    return this.#policy(subject)?.decideReach(node, shown) ?? this.#unknown(subject, node);
  }

  standing({ user, instance, since }: AccessSubject): string | null {
    if (!user.startsWith(MACHINE_PREFIX)) {
      if (this.users.get(user) === undefined) return `${user} is not a user of this cluster any more`;
      return this.#person(user, since) === undefined ? `the certificate is of a former user ${user}; log in again` : null;
    }
    if (this.copies.machines.get(user) === undefined) return `${user} was deleted from this cluster`;
    const known = instance === undefined ? undefined : this.copies.instances.get(instance);
    if (known?.machine !== user) return `this instance of ${user} was deleted from this cluster`;
    return known.lockReason === "" ? null : `this instance of ${user} is locked: ${known.lockReason}`;
  }

  isSuperseded(instance: string, generation: number): boolean {
    return generation < (this.copies.instances.get(instance)?.generation ?? 0);
  }

  visibleNodes<N extends AccessNode>(subject: AccessSubject, nodes: Iterable<N>): N[] {
    const policy = this.#policy(subject);
    return policy === undefined ? [] : [...nodes].filter((node) => policy.reaches(node));
  }

  logins(subject: AccessSubject): readonly string[] {
    return this.#policy(subject, ISSUING)?.logins ?? [];
  }

  sessionOptions(subject: AccessSubject): SessionOptions {
    const none: SessionOptions = {
      maxSessionTtlSeconds: null,
      requireSessionMfa: "",
      deviceTrustMode: "",
      portForwarding: false,
      fileCopy: false,
    };
    return this.#policy(subject, ISSUING)?.sessionOptions() ?? none;
  }

  wouldReach(user: string, more: readonly string[], node: AccessNode): boolean {
    const entry = this.users.get(user);
    if (entry === undefined) return false;
    const held = this.#compile([...new Set([...entry.roles, ...more])]);
    return new AccessPolicy(user, held, held, entry).reaches(node);
  }

  /** Stops following the copies. */
  close(): void {
    this.#stop();
  }

  /** `undefined` for a person who is no user any more, and for a machine that is deleted or locked. */
  #policy({ user, roles, instance, since }: AccessSubject, purpose?: typeof ISSUING): AccessPolicy | undefined {
    const isMachine = user.startsWith(MACHINE_PREFIX);
    const entry = isMachine ? this.copies.machines.get(user) : this.#person(user, since);
    if (entry === undefined) return undefined;
    if (isMachine && purpose !== ISSUING && this.standing({ user, roles, instance }) !== null) return undefined;
    if (!isMachine) this.#grants.dropExpired(user);
    let policies = this.#policies.get(entry);
    if (policies === undefined) {
      policies = { byList: new WeakMap(), byNames: new Map() };
      this.#policies.set(entry, policies);
    }
    let policy = policies.byList.get(roles);
    if (policy === undefined) {
      const key = roles.join("\n");
      policy = policies.byNames.get(key) ?? this.#work(user, roles, entry);
      if (policies.byNames.size >= MAX_ROLE_SETS) policies.byNames.clear();
      policies.byNames.set(key, policy);
      policies.byList.set(roles, policy);
    }
    return policy;
  }

  /** `undefined` also for the account of a former user of that name. */
  #person(user: string, since: string | undefined): UserEntry | undefined {
    const entry = this.users.get(user);
    return since === undefined || entry?.since === undefined || entry.since === since ? entry : undefined;
  }

  #isAtDevice({ user, device }: AccessSubject): boolean {
    const entry = device === undefined ? undefined : this.copies.devices?.get(device);
    return entry !== undefined && entry.user === user && !entry.isRevoked;
  }

  #unknown(subject: AccessSubject, node: AccessNode): AccessDecision {
    const detail = this.standing(subject) ?? `${subject.user} is unknown`;
    return { allowed: false, reason: `${subject.user} has no access to node ${node.name}`, detail };
  }

  #work(user: string, roles: readonly string[], entry: UserEntry): AccessPolicy {
    const named = new Set(roles);
    const isMachine = user.startsWith(MACHINE_PREFIX);
    const held = this.#compile(isMachine ? entry.roles : this.#grants.holdings(user, entry.roles).roles);
    return new AccessPolicy(
      user,
      held.filter(({ role }) => named.has(role.name)),
      held,
      entry,
      isMachine ? undefined : this.#grants.nodes(user),
    );
  }

  #compile(names: readonly string[]): CompiledRole[] {
    const found: CompiledRole[] = [];
    for (const name of names) {
      let compiled = this.#compiled.get(name);
      if (compiled === undefined) {
        const role = this.roles.get(name);
        if (role === undefined) continue;
        compiled = compileRole(role);
        this.#compiled.set(name, compiled);
      }
      found.push(compiled);
    }
    return found;
  }
}

// --- internal ---

const MAX_ROLE_SETS = 16;

/** Found by the list itself, which a connection keeps, and else by what it says. */
interface UserPolicies {
  readonly byList: WeakMap<readonly string[], AccessPolicy>;
  readonly byNames: Map<string, AccessPolicy>;
}

const NO_GRANTS: GrantCopies = { grants: { values: () => [], onChange: () => () => {} }, clock: { now: () => new Date(0) } };

/** A certificate is made, and its instance may be made with it. */
const ISSUING = Symbol("issuing");
const NO_MACHINES: MachineCopies = { machines: { get: () => undefined }, instances: { get: () => undefined } };
