import type { ProcessRole } from "./contract.js";

/** Values a user carries for role templates, e.g. `{ logins: ["ubuntu"] }` for `{{internal.logins}}`. */
export interface Traits {
  readonly internal: Readonly<Record<string, readonly string[]>>;
  readonly external: Readonly<Record<string, readonly string[]>>;
}

/** Who is asking, as an authenticator established it from the call's credentials. */
export type Caller =
  | { readonly kind: "anonymous" }
  | {
      readonly kind: "user";
      readonly name: string;
      readonly roles: readonly string[];
      readonly traits: Traits;
      /** Names the login session in the audit log; not the session token. */
      readonly sessionId: string;
      /** True until a one-time password has been changed: then only `ChangePassword` is allowed. */
      readonly mustChangePassword: boolean;
      /** Id of the enrolled device that the login was made at. */
      readonly device?: string;
    }
  | {
      /** A process of the cluster that presented its host certificate. */
      readonly kind: "agent";
      /** UUID of the agent record. */
      readonly id: string;
      readonly name: string;
      readonly role: ProcessRole;
      readonly certificateSerial: string;
      readonly certificateExpiresAt: Date;
    }
  | {
      /** A machine that presented the X.509 certificate of one instance of its agent identity. */
      readonly kind: "agent_identity";
      readonly name: string;
      readonly roles: readonly string[];
      /** UUID of the instance. */
      readonly instance: string;
      /** Counts the renewals of the instance; the certificate carries it. */
      readonly generation: number;
      /** True when a newer certificate of the instance is in use: then only renewal is answered, which finds the copy. */
      readonly isSuperseded: boolean;
    };

/** `noun:verb`, e.g. `lock:create`. */
export type Permission = `${string}:${"create" | "read" | "list" | "update" | "delete" | "use"}`;

/**
 * Who holds a permission besides the `admin` role, which holds every one that a person can: `session` is any logged-in
 * user, `auditor` the built-in role, `proxy` and `node` a process with that role's host certificate,
 * `agent_identity` a machine.
 */
export type PermissionHolder = "session" | "auditor" | "proxy" | "node" | "agent_identity";

/** Whether a permission with these holders is for machines alone, and for no person, not even with role `admin`. */
export function isForMachines(holders: readonly string[]): boolean {
  return holders.length > 0 && holders.every((holder) => MACHINES.has(holder));
}

// --- internal ---

const MACHINES: ReadonlySet<string> = new Set<PermissionHolder>(["proxy", "node", "agent_identity"]);
