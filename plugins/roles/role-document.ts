import { MezError } from "../../core/errors/error.js";
import { parseLocatedYaml } from "../../core/plugin/checked-yaml.js";
import { formatDuration, parseDuration } from "../../core/time/duration.js";
import type { DeviceTrust, LabelSelector, Role, RoleRules, SessionMfa } from "./api.js";
import { roleProblem } from "./role-check.js";
import { ROLE_SCHEMA } from "./role-schema.js";

/**
 * Reads a role from YAML or JSON.
 * @param file For messages; `-` is standard input.
 * @throws {MezError} `INVALID_DOCUMENT` with file, line and what would be right.
 */
export async function parseRoleDocument(text: string, file: string): Promise<Role> {
  const located = await parseLocatedYaml<RoleDocument>(text, { file, schema: ROLE_SCHEMA, what: "role" });
  const { metadata, spec } = located.value;
  const role: Role = {
    name: metadata.name,
    description: metadata.description,
    options: {
      maxSessionTtlSeconds: ttlOf(spec.options.max_session_ttl, (message) =>
        located.problem(["spec", "options", "max_session_ttl"], message),
      ),
      requireSessionMfa: spec.options.require_session_mfa,
      deviceTrustMode: spec.options.device_trust_mode,
      portForwarding: spec.options.port_forwarding,
      fileCopy: spec.options.file_copy,
    },
    allow: rulesOf(spec.allow),
    deny: rulesOf(spec.deny),
  };
  const problem = roleProblem(role);
  if (problem) throw located.problem(problem.path, problem.message);
  return role;
}

/** The document that `parseRoleDocument` reads back as the same role. Empty parts are left out. */
export function roleToDocument(role: Role): Record<string, unknown> {
  const { options } = role;
  return {
    kind: "role",
    version: "v1",
    metadata: { name: role.name, ...(role.description === "" ? {} : { description: role.description }) },
    spec: {
      options: {
        ...(options.maxSessionTtlSeconds === null ? {} : { max_session_ttl: formatDuration(options.maxSessionTtlSeconds) }),
        ...(options.requireSessionMfa === "" ? {} : { require_session_mfa: options.requireSessionMfa }),
        ...(options.deviceTrustMode === "" ? {} : { device_trust_mode: options.deviceTrustMode }),
        port_forwarding: options.portForwarding,
        file_copy: options.fileCopy,
      },
      allow: rulesToDocument(role.allow),
      ...(Object.keys(rulesToDocument(role.deny)).length === 0 ? {} : { deny: rulesToDocument(role.deny) }),
    },
  };
}

// --- internal ---

type SelectorDocument = Readonly<Record<string, string | readonly string[]>>;

interface RulesDocument {
  readonly node_labels: SelectorDocument;
  readonly app_labels: SelectorDocument;
  readonly logins: readonly string[];
  readonly request_roles: readonly string[];
  readonly request_resources: readonly string[];
  readonly review_roles: readonly string[];
}

interface RoleDocument {
  readonly metadata: { readonly name: string; readonly description: string };
  readonly spec: {
    readonly options: {
      readonly max_session_ttl?: string;
      readonly require_session_mfa: SessionMfa;
      readonly device_trust_mode: DeviceTrust;
      readonly port_forwarding: boolean;
      readonly file_copy: boolean;
    };
    readonly allow: RulesDocument;
    readonly deny: RulesDocument;
  };
}

function ttlOf(text: string | undefined, problem: (message: string) => MezError): number | null {
  if (text === undefined) return null;
  try {
    return parseDuration(text);
  } catch (error) {
    throw error instanceof MezError ? problem(error.message) : error;
  }
}

function rulesOf(rules: RulesDocument): RoleRules {
  return {
    nodeLabels: selectorOf(rules.node_labels),
    appLabels: selectorOf(rules.app_labels),
    logins: rules.logins,
    requestRoles: rules.request_roles,
    requestResources: rules.request_resources,
    reviewRoles: rules.review_roles,
  };
}

function selectorOf(selector: SelectorDocument): LabelSelector {
  return Object.fromEntries(Object.entries(selector).map(([name, value]) => [name, typeof value === "string" ? [value] : value]));
}

function rulesToDocument(rules: RoleRules): Record<string, unknown> {
  const all = {
    node_labels: selectorToDocument(rules.nodeLabels),
    app_labels: selectorToDocument(rules.appLabels),
    logins: rules.logins,
    request_roles: rules.requestRoles,
    request_resources: rules.requestResources,
    review_roles: rules.reviewRoles,
  };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => Object.keys(value).length > 0));
}

function selectorToDocument(selector: LabelSelector): Record<string, unknown> {
  return Object.fromEntries(Object.entries(selector).map(([name, values]) => [name, values.length === 1 ? values[0] : values]));
}
