import type { Role, RoleRules } from "../roles/api.js";

/** What somebody may ask for and review, by their roles. Deny wins over allow, over all of them. */
export interface RequestRights {
  mayAskForRole(name: string): boolean;
  /** The roles among those held through which a node may be asked for by itself. */
  rolesOffering(node: string): readonly string[];
  mayReviewRole(name: string): boolean;
}

/** @param roles Those that the person holds. */
export function rightsOf(roles: readonly Role[]): RequestRights {
  const allows = (list: keyof RoleRules, name: string): boolean =>
    roles.some((role) => names(role.allow, list, name)) && !roles.some((role) => names(role.deny, list, name));
  return {
    mayAskForRole: (name) => allows("requestRoles", name),
    mayReviewRole: (name) => allows("reviewRoles", name),
    rolesOffering: (node) =>
      roles.some((role) => role.deny.requestResources.includes(node))
        ? []
        : roles.filter((role) => role.allow.requestResources.includes(node)).map((role) => role.name),
  };
}

/** Whether a reviewer may decide on all of a request: its roles, and for each node a role through which it is reached. */
export function mayReview(
  reviewer: RequestRights,
  requester: RequestRights,
  { roles, nodes }: { readonly roles: readonly string[]; readonly nodes: readonly string[] },
): boolean {
  return (
    roles.every((role) => reviewer.mayReviewRole(role)) &&
    nodes.every((node) => requester.rolesOffering(node).some((role) => reviewer.mayReviewRole(role)))
  );
}

// --- internal ---

/** `*` stands for every role; nodes are named one by one. */
function names(rules: RoleRules, list: keyof RoleRules, name: string): boolean {
  const values = rules[list];
  return Array.isArray(values) && (values.includes(name) || values.includes("*"));
}
