import type { Collection } from "../../core/plugin/collection.js";
import { AccessPolicy } from "./access-policy.js";
import type { Access, AccessDecision, AccessNode, AccessSubject, Role, SessionOptions, UserEntry } from "./api.js";
import { type CompiledRole, compileRole } from "./compiled-role.js";

/**
 * Decides from the live copies of roles and users. Each role is compiled once, each person's policy is worked out once
 * for a set of certificate roles, and both are dropped when the copy changes.
 */
export class LiveAccess implements Access {
  readonly #compiled = new Map<string, CompiledRole>();
  // Keyed by the entry itself: a changed user is another object, so nothing has to be invalidated.
  #policies = new WeakMap<UserEntry, Map<string, AccessPolicy>>();
  readonly #stop: () => void;

  constructor(
    private readonly roles: Collection<Role>,
    private readonly users: Collection<UserEntry>,
  ) {
    this.#stop = roles.onChange((name) => {
      this.#compiled.delete(name);
      this.#policies = new WeakMap();
    });
  }

  decide({ node, login, ...subject }: AccessSubject & { readonly node: AccessNode; readonly login: string }): AccessDecision {
    return this.#policy(subject)?.decide(node, login) ?? unknownUser(subject, node);
  }

  decideReach({ node, ...subject }: AccessSubject & { readonly node: AccessNode }): AccessDecision {
    return this.#policy(subject)?.decideReach(node) ?? unknownUser(subject, node);
  }

  visibleNodes<N extends AccessNode>(subject: AccessSubject, nodes: Iterable<N>): N[] {
    const policy = this.#policy(subject);
    return policy === undefined ? [] : [...nodes].filter((node) => policy.reaches(node));
  }

  logins(subject: AccessSubject): readonly string[] {
    return this.#policy(subject)?.logins ?? [];
  }

  sessionOptions(subject: AccessSubject): SessionOptions {
    const none: SessionOptions = { maxSessionTtlSeconds: null, requireSessionMfa: "", deviceTrustMode: "", portForwarding: false, fileCopy: false };
    return this.#policy(subject)?.sessionOptions() ?? none;
  }

  /** Stops following the copies. */
  close(): void {
    this.#stop();
  }

  /** `undefined` for a person who is no user any more. */
  #policy({ user, roles }: AccessSubject): AccessPolicy | undefined {
    const entry = this.users.get(user);
    if (entry === undefined) return undefined;
    let byRoles = this.#policies.get(entry);
    if (byRoles === undefined) {
      byRoles = new Map();
      this.#policies.set(entry, byRoles);
    }
    const key = roles === entry.roles ? "=" : roles.join("\n");
    let policy = byRoles.get(key);
    if (policy === undefined) {
      const named = new Set(roles);
      const held = this.#compile(entry.roles);
      policy = new AccessPolicy(user, held.filter(({ role }) => named.has(role.name)), held, entry);
      if (byRoles.size >= MAX_ROLE_SETS) byRoles.clear();
      byRoles.set(key, policy);
    }
    return policy;
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

function unknownUser({ user }: AccessSubject, node: AccessNode): AccessDecision {
  return { allowed: false, reason: `${user} has no access to node ${node.name}`, detail: `${user} is not a user of this cluster any more` };
}
