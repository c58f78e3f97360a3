import type { Role, RoleRules, SessionOptions } from "./api.js";

/** Name of the role that may change everything in the cluster. */
export const ADMIN_ROLE = "admin";
/** Name of the role that may read the audit log and recordings. */
export const AUDITOR_ROLE = "auditor";

const OPTIONS: SessionOptions = {
  maxSessionTtlSeconds: null,
  requireSessionMfa: "",
  deviceTrustMode: "",
  portForwarding: true,
  fileCopy: true,
};
const NOTHING: RoleRules = { nodeLabels: {}, appLabels: {}, logins: [], requestRoles: [], requestResources: [], reviewRoles: [] };

/** Always there, in the code and not in the database: nobody can change or delete them. */
export const BUILT_IN_ROLES: readonly Role[] = [
  {
    name: "access",
    description: "Logs in to every node as the logins of the user's own trait",
    options: OPTIONS,
    allow: { ...NOTHING, nodeLabels: { "*": ["*"] }, appLabels: { "*": ["*"] }, logins: ["{{internal.logins}}"] },
    deny: NOTHING,
  },
  {
    name: ADMIN_ROLE,
    description: "Administers the cluster; opens no session by itself",
    options: OPTIONS,
    allow: { ...NOTHING, reviewRoles: ["*"] },
    deny: NOTHING,
  },
  { name: AUDITOR_ROLE, description: "Reads the audit log and recordings", options: OPTIONS, allow: NOTHING, deny: NOTHING },
];

/** Tells whether a name belongs to a role that comes with the product. */
export function isBuiltIn(name: string): boolean {
  return BUILT_IN_ROLES.some((role) => role.name === name);
}
