import type { Caller, Traits } from "../../core/plugin/caller.js";
import type { CollectionKind } from "../../core/plugin/collection.js";
import type { ServiceToken } from "../../core/plugin/contract.js";
import type { Transaction } from "../../core/plugin/database.js";
import type { GuardSubject } from "../../core/ports/guard.js";

/**
 * Label name to the values that match: exact text, `*` for any, or a regular expression `^…$`. All labels must match,
 * any value of a label is enough. Empty matches nothing; `{ "*": ["*"] }` matches everything.
 */
export type LabelSelector = Readonly<Record<string, readonly string[]>>;

/** What a role grants (`allow`) or takes away (`deny`). */
export interface RoleRules {
  readonly nodeLabels: LabelSelector;
  readonly appLabels: LabelSelector;
  /** Login names and templates such as `{{internal.logins}}`; in `deny` also `*`. */
  readonly logins: readonly string[];
  readonly requestRoles: readonly string[];
  readonly requestResources: readonly string[];
  readonly reviewRoles: readonly string[];
}

export type SessionMfa = "" | "off" | "totp" | "webauthn" | "hardware_key";
/** What a person can prove for one session, weakest first. */
export type ProvenSessionMfa = "totp" | "webauthn" | "hardware_key";
export type DeviceTrust = "" | "optional" | "required";

export interface SessionOptions {
  /** Cap on a certificate's lifetime in seconds, `null` for none of its own. */
  readonly maxSessionTtlSeconds: number | null;
  readonly requireSessionMfa: SessionMfa;
  readonly deviceTrustMode: DeviceTrust;
  readonly portForwarding: boolean;
  readonly fileCopy: boolean;
}

export interface Role {
  readonly name: string;
  readonly description: string;
  readonly options: SessionOptions;
  readonly allow: RoleRules;
  readonly deny: RoleRules;
}

/** Every role by name, the built-in ones included; for proxies and nodes. */
export const ROLES_COLLECTION: CollectionKind<Role> = { name: "roles", version: 1, visibleTo: isDataPlane };

/** What proxies and nodes know of a person: never a secret. */
export interface UserEntry {
  readonly roles: readonly string[];
  readonly traits: Traits;
  /** When a person's account was made, ISO 8601: tells it from a former one of that name. Machines are told by their instances. */
  readonly since?: string;
}

/**
 * Every user by name. Published by the plugin `users`; declared here because access is decided by it: who is not in it
 * is refused, whatever a certificate says.
 */
export const USERS_COLLECTION: CollectionKind<UserEntry> = { name: "users", version: 1, visibleTo: isDataPlane };

/** Begins the name of every machine. No person's name holds a slash, so that the two are never taken for each other. */
export const MACHINE_PREFIX = "identity/";

/** Every agent identity under `MACHINE_PREFIX` and its name. Published by the plugin `agent-identities`, as is the next. */
export const MACHINES_COLLECTION: CollectionKind<UserEntry> = { name: "machines", version: 1, visibleTo: isDataPlane };

/** What proxies and nodes know of one instance of an agent identity. */
export interface MachineInstanceEntry {
  /** The machine's name, `MACHINE_PREFIX` included. */
  readonly machine: string;
  /** The newest generation that is known to be in use; certificates of older ones are refused. */
  readonly generation: number;
  /** Why the instance is locked; empty when it is not. */
  readonly lockReason: string;
}

/** Every instance by its id. */
export const MACHINE_INSTANCES_COLLECTION: CollectionKind<MachineInstanceEntry> = {
  name: "machine-instances",
  version: 1,
  visibleTo: isDataPlane,
};

/** What an approved access request gives a person for a time. */
export interface AccessGrant {
  readonly user: string;
  /** Held beside the person's own. */
  readonly roles: readonly string[];
  /** Single nodes, reached through a role of the person that offers them in `request_resources`. */
  readonly nodes: readonly string[];
  /** ISO 8601. */
  readonly until: string;
}

/** Every grant by the id of its request. Published by `access-requests`; declared here because access is decided by it. */
export const GRANTS_COLLECTION: CollectionKind<AccessGrant> = { name: "access-grants", version: 1, visibleTo: isDataPlane };

/** What a person has now: their own, and what was granted for a time. */
export interface Holdings {
  readonly roles: readonly string[];
  /** End of the grant that ends first, of those that add a role; `null` when none does. */
  readonly until: Date | null;
}

/** What proxies and nodes know of a device that a person enrolled. */
export interface DeviceEntry {
  readonly user: string;
  /** What its person calls it. */
  readonly name: string;
  readonly isRevoked: boolean;
}

/** Every device by its id. Published by the plugin `devices`; declared here because access is decided by it. */
export const DEVICES_COLLECTION: CollectionKind<DeviceEntry> = { name: "devices", version: 1, visibleTo: isDataPlane };

/** The person or machine that asks, as a certificate or a login session names them. */
export interface AccessSubject {
  readonly user: string;
  /** Id of the instance, for a machine. */
  readonly instance?: string;
  /** The account that was certified, by its `UserEntry.since`; certificates of earlier releases do not say. */
  readonly since?: string | undefined;
  /** Id of the device that the person is at, when the login proved one. */
  readonly device?: string | undefined;
  /** Roles at the time the certificate was made. Those that the user has lost since then no longer count. */
  readonly roles: readonly string[];
}

/** A person or machine as guards know it. */
export function guardSubjectOf({ user, roles, instance, device }: AccessSubject): GuardSubject {
  if (!user.startsWith(MACHINE_PREFIX)) return { user, roles, ...(device === undefined ? {} : { device }) };
  const agentIdentity = user.slice(MACHINE_PREFIX.length);
  return { agentIdentity, roles, ...(instance === undefined ? {} : { instance }) };
}

export interface AccessNode {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** What was shown for this one session, besides the certificate. */
export interface SessionProofs {
  /** A fresh second factor of the person who asks. */
  readonly mfa?: ProvenSessionMfa | undefined;
}

export type AccessDecision =
  | { readonly allowed: true; readonly options: SessionOptions /** Roles that grant it. */; readonly roles: readonly string[] }
  | {
      readonly allowed: false;
      /** One line for the person. */
      readonly reason: string;
      /** For the audit log: which role or rule. */
      readonly detail: string;
      /** Set when roles allow it, and nothing but a proof is missing. */
      readonly missing?: "mfa" | "device";
    };

/** Decides from the live copies of roles and users; asks nobody. Same answers on auth service, proxy and node. */
export interface Access {
  /** May this person log in to the node as `login`? */
  decide(
    request: AccessSubject & { readonly node: AccessNode; readonly login: string; readonly proofs?: SessionProofs },
  ): AccessDecision;
  /** May this person reach the node under any login? For a proxy, which does not see the login. */
  decideReach(request: AccessSubject & { readonly node: AccessNode; readonly proofs?: SessionProofs }): AccessDecision;
  /** Why this person or machine may do nothing at all now, one line; `null` when roles decide. */
  standing(subject: AccessSubject): string | null;
  /** Tells whether a newer certificate of a machine's instance is in use than the one with this generation. */
  isSuperseded(instance: string, generation: number): boolean;
  /** The roles that a person has now, those of grants included; none for somebody who is no user. */
  holdings(user: string): Holdings;
  /** Would this person reach the node, holding these roles beside their own? */
  wouldReach(user: string, more: readonly string[], node: AccessNode): boolean;
  /** The nodes among `nodes` that `decideReach` allows, in their order. */
  visibleNodes<N extends AccessNode>(subject: AccessSubject, nodes: Iterable<N>): N[];
  /** Login names for a certificate: over all roles, templates expanded, denied ones removed, sorted. */
  logins(subject: AccessSubject): readonly string[];
  /** Options over all roles of the person: the smallest TTL, the strictest demands; forwarding and copying if any role has them. */
  sessionOptions(subject: AccessSubject): SessionOptions;
}

export const ACCESS: ServiceToken<Access> = { id: "access", version: 1 };

/** Finds who holds a role, inside the transaction that wants to delete it. */
export type HolderSearch = (tx: Transaction, roleName: string) => Promise<readonly string[]>;

export interface Roles {
  /** @throws {MezError} `ROLE_NOT_FOUND` naming the first role that does not exist. */
  requireAll(tx: Transaction, names: readonly string[]): Promise<void>;
  /** A role that `search` finds holders of is not deleted. Returns the way to stop. */
  guardDeletion(search: HolderSearch): () => void;
}

export const ROLES: ServiceToken<Roles> = { id: "roles", version: 1 };

// --- internal ---

function isDataPlane(caller: Caller): boolean {
  return caller.kind === "agent" && (caller.role === "proxy" || caller.role === "node");
}
