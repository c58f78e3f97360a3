import { ROLE_NAME_PATTERN } from "./role-check.js";

const selector = {
  type: "object",
  default: {},
  description: 'Labels, e.g. { env: [staging, production], team: "^eng-.*$" }; "*": "*" is every node.',
  additionalProperties: {
    type: ["string", "array"],
    items: { type: "string" },
    description: "Write text in quotes, or a list of texts.",
  },
} as const;

const names = { type: "array", default: [], items: { type: "string" } } as const;

const rules = {
  type: "object",
  additionalProperties: false,
  default: {},
  properties: {
    node_labels: selector,
    app_labels: selector,
    logins: names,
    request_roles: names,
    request_resources: names,
    review_roles: names,
  },
} as const;

/** JSON Schema of a role's document, with defaults. What it cannot say is checked by `roleProblem`. */
export const ROLE_SCHEMA = {
  type: "object",
  additionalProperties: false,
  required: ["kind", "metadata", "spec"],
  properties: {
    kind: { const: "role" },
    version: { const: "v1", default: "v1" },
    metadata: {
      type: "object",
      additionalProperties: false,
      required: ["name"],
      properties: {
        name: { type: "string", pattern: ROLE_NAME_PATTERN, description: "Use a-z, 0-9, dots, underscores and dashes." },
        description: { type: "string", default: "", maxLength: 500 },
      },
    },
    spec: {
      type: "object",
      additionalProperties: false,
      properties: {
        options: {
          type: "object",
          additionalProperties: false,
          default: {},
          properties: {
            max_session_ttl: { type: "string", description: "A duration such as 8h or 1h30m." },
            require_session_mfa: { enum: ["", "off", "totp", "webauthn", "hardware_key"], default: "" },
            device_trust_mode: { enum: ["", "optional", "required"], default: "" },
            port_forwarding: { type: "boolean", default: true },
            file_copy: { type: "boolean", default: true },
          },
        },
        allow: rules,
        deny: rules,
      },
    },
  },
} as const;
