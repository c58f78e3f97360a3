import type { Role } from "./api.js";
import { compileSelector, type LabelMatcher } from "./label-matcher.js";
import { type LoginTemplate, parseLoginTemplate } from "./login-template.js";

/** A role made ready for decisions. */
export interface CompiledRole {
  readonly role: Role;
  readonly allowsNode: LabelMatcher;
  readonly allowedLogins: readonly LoginTemplate[];
  /** `null` when the role denies no node. */
  readonly deniesNode: LabelMatcher | null;
  readonly deniesEveryLogin: boolean;
  readonly deniedLogins: readonly LoginTemplate[];
}

/** @throws {MezError} `INVALID_ARGUMENT` for a role that did not pass `checkRole`. */
export function compileRole(role: Role): CompiledRole {
  return {
    role,
    allowsNode: compileSelector(role.allow.nodeLabels),
    allowedLogins: role.allow.logins.map(parseLoginTemplate),
    deniesNode: Object.keys(role.deny.nodeLabels).length === 0 ? null : compileSelector(role.deny.nodeLabels),
    deniesEveryLogin: role.deny.logins.includes("*"),
    deniedLogins: role.deny.logins.filter((login) => login !== "*").map(parseLoginTemplate),
  };
}
