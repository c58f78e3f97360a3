import { MezError } from "../../core/errors/error.js";
import type { Role as RoleMessage, RoleRules as RulesMessage } from "../../proto/gen/mezite/roles/v1/roles.js";
import type { DeviceTrust, LabelSelector, Role, RoleRules, SessionMfa } from "./api.js";

/** A role as it goes over the wire. */
export function toMessage(role: Role): RoleMessage {
  const { options } = role;
  return {
    name: role.name,
    description: role.description,
    options: {
      maxSessionTtlSeconds: options.maxSessionTtlSeconds ?? 0,
      requireSessionMfa: options.requireSessionMfa,
      deviceTrustMode: options.deviceTrustMode,
      portForwarding: options.portForwarding,
      fileCopy: options.fileCopy,
    },
    allow: rulesToMessage(role.allow),
    deny: rulesToMessage(role.deny),
    builtIn: false,
  };
}

/**
 * A role from the wire; its content is still to be checked.
 * @throws {MezError} `INVALID_ARGUMENT` for a word that no version of the schema knows.
 */
export function fromMessage(message: RoleMessage): Role {
  const { options } = message;
  if (options === undefined) throw new MezError("INVALID_ARGUMENT", "the role's options are missing");
  return {
    name: message.name,
    description: message.description,
    options: {
      maxSessionTtlSeconds: options.maxSessionTtlSeconds === 0 ? null : options.maxSessionTtlSeconds,
      requireSessionMfa: known(MFA_WORDS, options.requireSessionMfa, "require_session_mfa"),
      deviceTrustMode: known(TRUST_WORDS, options.deviceTrustMode, "device_trust_mode"),
      portForwarding: options.portForwarding,
      fileCopy: options.fileCopy,
    },
    allow: rulesFromMessage(message.allow),
    deny: rulesFromMessage(message.deny),
  };
}

// --- internal ---

const MFA_WORDS: readonly SessionMfa[] = ["", "off", "totp", "webauthn", "hardware_key"];
const TRUST_WORDS: readonly DeviceTrust[] = ["", "optional", "required"];

function known<T extends string>(words: readonly T[], word: string, key: string): T {
  const found = words.find((each) => each === word);
  if (found === undefined)
    throw new MezError(
      "INVALID_ARGUMENT",
      `${key} "${word.slice(0, 40)}" is unknown; use one of ${words.filter(Boolean).join(", ")}`,
    );
  return found;
}

function rulesToMessage(rules: RoleRules): RulesMessage {
  return {
    nodeLabels: selectorToMessage(rules.nodeLabels),
    appLabels: selectorToMessage(rules.appLabels),
    logins: [...rules.logins],
    requestRoles: [...rules.requestRoles],
    requestResources: [...rules.requestResources],
    reviewRoles: [...rules.reviewRoles],
  };
}

function rulesFromMessage(rules: RulesMessage | undefined): RoleRules {
  return {
    nodeLabels: selectorFromMessage(rules?.nodeLabels),
    appLabels: selectorFromMessage(rules?.appLabels),
    logins: rules?.logins ?? [],
    requestRoles: rules?.requestRoles ?? [],
    requestResources: rules?.requestResources ?? [],
    reviewRoles: rules?.reviewRoles ?? [],
  };
}

function selectorToMessage(selector: LabelSelector): RulesMessage["nodeLabels"] {
  return Object.fromEntries(Object.entries(selector).map(([name, values]) => [name, { values: [...values] }]));
}

function selectorFromMessage(selector: RulesMessage["nodeLabels"] | undefined): LabelSelector {
  return Object.fromEntries(Object.entries(selector ?? {}).map(([name, { values }]) => [name, values]));
}
