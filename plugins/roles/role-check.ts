import { MezError, messageOf } from "../../core/errors/error.js";
import type { LabelSelector, Role, RoleRules } from "./api.js";
import { compileSelector } from "./label-matcher.js";
import { parseLoginTemplate } from "./login-template.js";

/** What is wrong with a role, and where in its document. */
export interface RoleProblem {
  readonly path: readonly (string | number)[];
  readonly message: string;
}

/** Role names: lower case, as they stand on command lines and in certificates. */
export const ROLE_NAME_PATTERN = "^[a-z0-9][a-z0-9._-]{0,63}$";

/** Tells whether a role could have this name. Asked before a name from outside reaches the database. */
export function isRoleName(name: string): boolean {
  return ROLE_NAME.test(name);
}

/**
 * Checks what a schema cannot: label selectors and their regular expressions, logins and their templates, names.
 * @returns The first problem, or `null`.
 */
export function roleProblem(role: Role): RoleProblem | null {
  if (!ROLE_NAME.test(role.name)) {
    return {
      path: ["metadata", "name"],
      message: `role name "${clean(role.name)}" is not valid; use up to 64 of a-z, 0-9, ".", "_" and "-", beginning with a letter or digit`,
    };
  }
  if (role.description.length > 500 || /\p{Cc}/u.test(role.description)) {
    return { path: ["metadata", "description"], message: "the description has to be one line of up to 500 characters" };
  }
  const ttl = role.options.maxSessionTtlSeconds;
  if (ttl !== null && (!Number.isSafeInteger(ttl) || ttl < 1)) {
    return { path: ["spec", "options", "max_session_ttl"], message: "max_session_ttl has to be at least 1s" };
  }
  return rulesProblem(role.allow, "allow") ?? rulesProblem(role.deny, "deny");
}

/** @throws {MezError} `INVALID_ARGUMENT` for a role that `roleProblem` finds something wrong with. */
export function checkRole(role: Role): void {
  const problem = roleProblem(role);
  if (problem) throw new MezError("INVALID_ARGUMENT", `${problem.path.join(".")}: ${problem.message}`);
}

// --- internal ---

const ROLE_NAME = new RegExp(ROLE_NAME_PATTERN);
const LABEL_NAME = /^[A-Za-z0-9_][A-Za-z0-9_.:/-]{0,127}$/;
const MAX_ENTRIES = 500;

function rulesProblem(rules: RoleRules, side: "allow" | "deny"): RoleProblem | null {
  return (
    selectorProblem(rules.nodeLabels, ["spec", side, "node_labels"]) ??
    selectorProblem(rules.appLabels, ["spec", side, "app_labels"]) ??
    loginsProblem(rules.logins, side) ??
    namesProblem(rules.requestRoles, ["spec", side, "request_roles"]) ??
    namesProblem(rules.reviewRoles, ["spec", side, "review_roles"]) ??
    resourcesProblem(rules.requestResources, ["spec", side, "request_resources"])
  );
}

function selectorProblem(selector: LabelSelector, path: readonly string[]): RoleProblem | null {
  const entries = Object.entries(selector);
  if (entries.length > MAX_ENTRIES) return { path, message: `more than ${MAX_ENTRIES} labels` };
  for (const [name, values] of entries) {
    const here = [...path, name];
    if (name === "*" && (values.length !== 1 || values[0] !== "*")) {
      return { path: here, message: 'the label "*" takes only the value "*", which means every node' };
    }
    if (name !== "*" && !LABEL_NAME.test(name)) return { path: here, message: `label name "${clean(name)}" is not valid` };
    if (values.length === 0 || values.length > MAX_ENTRIES)
      return { path: here, message: `label "${name}" needs 1 to ${MAX_ENTRIES} values` };
    for (const [index, value] of values.entries()) {
      const problem = valueProblem(name, value);
      if (problem !== null) return { path: values.length === 1 ? here : [...here, index], message: problem };
    }
  }
  return null;
}

function valueProblem(label: string, value: string): string | null {
  if (value.length > 256 || /\p{Cc}/u.test(value))
    return `a value of label "${label}" is longer than 256 characters or has control characters`;
  if (value.includes("{{")) return `label "${label}": templates are for logins only`;
  if (value.endsWith("$") && !value.startsWith("^"))
    return `label "${label}": "${clean(value)}" ends in $ but does not begin with ^; a regular expression needs both`;
  try {
    compileSelector({ [label]: [value] });
    return null;
  } catch (error) {
    return `label "${label}": ${messageOf(error)}`;
  }
}

function loginsProblem(logins: readonly string[], side: "allow" | "deny"): RoleProblem | null {
  const path = ["spec", side, "logins"];
  if (logins.length > MAX_ENTRIES) return { path, message: `more than ${MAX_ENTRIES} logins` };
  for (const [index, login] of logins.entries()) {
    if (login === "*" && side === "deny") continue;
    if (login === "*")
      return { path: [...path, index], message: 'the login "*" is for deny only; list the logins that are allowed' };
    try {
      parseLoginTemplate(login);
    } catch (error) {
      return { path: [...path, index], message: messageOf(error) };
    }
  }
  return null;
}

/** `*` stands for every role. */
function namesProblem(names: readonly string[], path: readonly string[]): RoleProblem | null {
  const index = names.findIndex((name) => name !== "*" && !ROLE_NAME.test(name));
  return index < 0 ? null : { path: [...path, index], message: `"${clean(names[index] ?? "")}" is no role name` };
}

function resourcesProblem(names: readonly string[], path: readonly string[]): RoleProblem | null {
  const index = names.findIndex((name) => name === "" || name.length > 253 || /[\p{Cc}\s*]/u.test(name));
  return index < 0
    ? null
    : { path: [...path, index], message: `"${clean(names[index] ?? "")}" is no node name; patterns are not allowed here` };
}

function clean(text: string): string {
  return text.replace(/\p{Cc}/gu, "?").slice(0, 60);
}
