import {
  type AccessDecision,
  type AccessNode,
  MACHINE_PREFIX,
  type Role,
  type SessionOptions,
  type SessionProofs,
  type UserEntry,
} from "./api.js";
import type { CompiledRole } from "./compiled-role.js";
import { expandLogin } from "./login-template.js";
import { demandsMfa, isEnoughMfa, smallestTtl, strictestOptions } from "./session-options.js";

interface Grant {
  readonly compiled: CompiledRole;
  readonly logins: ReadonlySet<string>;
}

/** What was shown for a session, and what the certificate shows besides the roles. */
export interface ShownProofs extends SessionProofs {
  /** Whether the person is at an enrolled device that is not revoked. */
  readonly isAtDevice?: boolean;
}

/**
 * What one person may do, worked out once from their roles and traits. Pure: the same input gives the same answer.
 * Deny wins over allow across all roles; within a deny, the labels and the logins each stand for themselves.
 */
export class AccessPolicy {
  readonly #grants: readonly Grant[];
  readonly #nodeDenials: readonly CompiledRole[];
  readonly #deniedLogins: ReadonlySet<string>;
  readonly #everyLoginDeniedBy: string | undefined;
  readonly #maxSessionTtlSeconds: number | null;
  /** Login names over all roles, without the denied ones, sorted. */
  readonly logins: readonly string[];

  /**
   * @param granting Roles that may grant: held now, and named in the certificate.
   * @param grantedNodes Names of single nodes that the person asked for and got; a role that offers one reaches it.
   * @param held Every role held now: all of them deny and cap, so that leaving one out of a certificate frees nothing.
   */
  constructor(
    private readonly userName: string,
    granting: readonly CompiledRole[],
    held: readonly CompiledRole[],
    { traits }: UserEntry,
    private readonly grantedNodes: ReadonlySet<string> = new Set(),
  ) {
    this.#deniedLogins = new Set(held.flatMap((role) => role.deniedLogins.flatMap((login) => expandLogin(login, traits))));
    this.#everyLoginDeniedBy = held.find((role) => role.deniesEveryLogin)?.role.name;
    this.#nodeDenials = held.filter((role) => role.deniesNode !== null);
    this.#maxSessionTtlSeconds = smallestTtl(held.map((role) => role.role));
    this.#grants = granting
      .map((compiled) => ({ compiled, logins: this.#permitted(compiled, traits) }))
      .filter(({ compiled }) => Object.keys(compiled.role.allow.nodeLabels).length > 0 || compiled.role.allow.logins.length > 0);
    this.logins = [...new Set(this.#grants.flatMap(({ logins }) => [...logins]))].sort();
  }

  decide(node: AccessNode, login: string, proofs: ShownProofs = {}): AccessDecision {
    const denial = this.#nodeDenial(node);
    if (denial) return denial;
    const granting = this.#grants.filter(({ compiled, logins }) => logins.has(login) && this.#allows(compiled, node));
    if (granting.length > 0)
      return this.#granted(
        granting.map(({ compiled }) => compiled.role),
        node,
        proofs,
      );
    const reaching = this.#grants.filter(({ compiled }) => this.#allows(compiled, node));
    return reaching.length === 0 ? this.#noRoleAllows(node) : this.#loginRefused(node, login, reaching);
  }

  decideReach(node: AccessNode, proofs: ShownProofs = {}): AccessDecision {
    const denial = this.#nodeDenial(node);
    if (denial) return denial;
    const granting = this.#grants.filter(({ compiled, logins }) => logins.size > 0 && this.#allows(compiled, node));
    if (granting.length === 0) return this.#noRoleAllows(node);
    const rolesOf = (grants: readonly Grant[]): readonly Role[] => grants.map(({ compiled }) => compiled.role);
    const whole = this.#granted(rolesOf(granting), node, proofs);
    if (whole.allowed) return whole;
    // A role that demands more may be one for another login than the person will use; the node, which sees the login, knows.
    for (const login of new Set(granting.flatMap(({ logins }) => [...logins]))) {
      const some = this.#granted(rolesOf(granting.filter(({ logins }) => logins.has(login))), node, proofs);
      if (some.allowed) return { ...some, options: { ...some.options, ...strictestOptions(rolesOf(granting)) } };
    }
    return whole;
  }

  /** The answer of `decideReach` without its reasons, for long lists. */
  reaches(node: AccessNode): boolean {
    if (this.#nodeDenials.some((compiled) => compiled.deniesNode?.(node.labels))) return false;
    return this.#grants.some(({ compiled, logins }) => logins.size > 0 && this.#allows(compiled, node));
  }

  /** Over all roles: what a certificate may say. The decision on a node can only narrow it. */
  sessionOptions(): SessionOptions {
    const roles = this.#grants.map(({ compiled }) => compiled.role);
    return {
      ...strictestOptions(roles),
      maxSessionTtlSeconds: this.#maxSessionTtlSeconds,
      portForwarding: roles.some((role) => role.options.portForwarding),
      fileCopy: roles.some((role) => role.options.fileCopy),
    };
  }

  #allows({ allowsNode, role }: CompiledRole, node: AccessNode): boolean {
    if (allowsNode(node.labels)) return true;
    return this.grantedNodes.has(node.name) && role.allow.requestResources.includes(node.name);
  }

  #permitted(compiled: CompiledRole, traits: UserEntry["traits"]): ReadonlySet<string> {
    if (this.#everyLoginDeniedBy !== undefined) return new Set();
    const logins = compiled.allowedLogins.flatMap((login) => expandLogin(login, traits));
    return new Set(logins.filter((login) => !this.#deniedLogins.has(login)));
  }

  #nodeDenial(node: AccessNode): AccessDecision | null {
    const denying = this.#nodeDenials.find((compiled) => compiled.deniesNode?.(node.labels));
    if (!denying) return null;
    return refusal(nodeReason(this.userName, node), `role ${denying.role.name} denies node ${node.name} by its labels`);
  }

  #noRoleAllows(node: AccessNode): AccessDecision {
    const names = this.#grants.map(({ compiled }) => compiled.role.name).join(", ");
    return refusal(
      nodeReason(this.userName, node),
      `no role of ${this.userName} (${names || "none that grants"}) allows node ${node.name}`,
    );
  }

  #loginRefused(node: AccessNode, login: string, reaching: readonly Grant[]): AccessDecision {
    const here = [...new Set(reaching.flatMap(({ logins }) => [...logins]))].sort();
    const shown = login.replace(/\p{Cc}/gu, "?").slice(0, 64);
    const instead = here.length === 0 ? "no login is" : `allowed: ${here.slice(0, 8).join(", ")}${here.length > 8 ? ", …" : ""}`;
    const reason = `${this.userName} may not log in to ${node.name} as ${shown} (${here.length === 0 ? "no login is allowed there" : instead})`;
    if (this.#everyLoginDeniedBy !== undefined) return refusal(reason, `role ${this.#everyLoginDeniedBy} denies every login`);
    if (this.#deniedLogins.has(login)) return refusal(reason, `a role of ${this.userName} denies login ${shown}`);
    return refusal(reason, `no role that allows node ${node.name} allows login ${shown}`);
  }

  #granted(roles: readonly Role[], node: AccessNode, proofs: ShownProofs): AccessDecision {
    const options: SessionOptions = { ...strictestOptions(roles), maxSessionTtlSeconds: this.#maxSessionTtlSeconds };
    const names = roles.map(({ name }) => name);
    const demand = missingProof(options, proofs);
    if (demand === null) return { allowed: true, options, roles: names };
    const help = demand.help === undefined ? "" : `: ${demand.help}`;
    const then = this.userName.startsWith(MACHINE_PREFIX) ? ", which machines do not have" : help;
    const reason = `${node.name} asks for ${demand.what}${then}`;
    return { ...refusal(reason, `roles ${names.join(", ")} demand ${demand.what}`), missing: demand.missing };
  }
}

// --- internal ---

interface MissingProof {
  readonly missing: "mfa" | "device";
  /** In a sentence. */
  readonly what: string;
  /** What a person can do about it. */
  readonly help?: string;
}

/** A demand that was not shown to be met is not met: silence must not open the door. */
function missingProof(
  { requireSessionMfa, deviceTrustMode }: SessionOptions,
  { mfa, isAtDevice }: ShownProofs,
): MissingProof | null {
  if (deviceTrustMode === "required" && isAtDevice !== true)
    return { missing: "device", what: "an enrolled device", help: 'run "msh device enroll" at yours, then log in again' };
  if (demandsMfa(requireSessionMfa) && (mfa === undefined || !isEnoughMfa(mfa, requireSessionMfa)))
    return { missing: "mfa", what: `a second factor (${requireSessionMfa}) for each session` };
  return null;
}

function nodeReason(userName: string, node: AccessNode): string {
  return `${userName} has no access to node ${node.name}`;
}

function refusal(reason: string, detail: string): AccessDecision & { readonly allowed: false } {
  return { allowed: false, reason, detail };
}
