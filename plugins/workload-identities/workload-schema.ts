import { WORKLOAD_NAME_PATTERN } from "./workload-identity.js";

const texts = { type: ["string", "array"], items: { type: "string" }, description: "Write text in quotes, or a list of texts." };
const numbers = { type: ["integer", "array"], items: { type: "integer" }, description: "Write a number, or a list of numbers." };

/** JSON Schema of the document, with defaults. What it cannot say is checked by `workloadProblem`. */
export const WORKLOAD_SCHEMA = {
  type: "object",
  additionalProperties: false,
  required: ["kind", "metadata", "spec"],
  properties: {
    kind: { const: "workload_identity" },
    version: { const: "v1", default: "v1" },
    metadata: {
      type: "object",
      additionalProperties: false,
      required: ["name"],
      properties: {
        name: { type: "string", pattern: WORKLOAD_NAME_PATTERN, description: "Use a-z, 0-9, dots, underscores and dashes." },
        description: { type: "string", default: "", maxLength: 500 },
      },
    },
    spec: {
      type: "object",
      additionalProperties: false,
      required: ["spiffe_id", "selectors"],
      properties: {
        spiffe_id: { type: "string", description: "The path, e.g. /ns/{{node.labels.env}}/payments." },
        selectors: {
          type: "object",
          additionalProperties: false,
          required: ["unix"],
          properties: {
            agent_identities: { ...texts, default: [] },
            node_labels: {
              type: "object",
              default: {},
              description: 'Labels of the node, e.g. { env: [staging, production] }; "*" is any value.',
              additionalProperties: texts,
            },
            unix: {
              type: "object",
              additionalProperties: false,
              properties: {
                uid: { ...numbers, default: [] },
                gid: { ...numbers, default: [] },
                path: { ...texts, default: [] },
                sha256: { ...texts, default: [] },
              },
            },
          },
        },
        x509_ttl: { type: "string", default: "1h", description: "A duration from 1m to 24h." },
        jwt_ttl: { type: "string", default: "5m", description: "A duration from 1m to 1h." },
        dns_sans: { ...texts, default: [] },
        hint: { type: "string", default: "", maxLength: 64 },
      },
    },
  },
} as const;
