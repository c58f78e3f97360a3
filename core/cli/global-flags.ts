import type { Flags } from "../plugin/commands.js";
import { kebabCase } from "./flag-table.js";

const SERVER_TRUST = {
  insecure: { type: "boolean", description: "Do not check the server's certificate; for development only" },
  caPin: {
    type: "string",
    description: "Fingerprint of the cluster's CA: sha256:<hex>; two with a comma in a rotation",
    valueName: "fingerprint",
  },
  caFile: { type: "string", description: "PEM file of the cluster's CA", valueName: "file" },
} as const satisfies Flags;

const FORMAT = {
  format: { type: "enum", choices: ["table", "json", "yaml"], default: "table", description: "How to print results" },
} as const satisfies Flags;

/** Flags that every `mezctl` command takes, before or after its name. */
export const MEZCTL_FLAGS = {
  authServer: {
    type: "string",
    default: "localhost:3025",
    description: "Auth service; several are tried in order",
    valueName: "host:port",
  },
  token: {
    type: "secret",
    env: "MEZITE_AUTH_TOKEN",
    fromStdin: false,
    description: "Session token, from mezctl login",
    valueName: "session-token",
  },
  ...SERVER_TRUST,
  ...FORMAT,
} as const satisfies Flags;

/** Flags that every `msh` command takes. The addresses have no default: `msh login` remembers them. */
export const MSH_FLAGS = {
  proxy: { type: "string", description: "Proxy of the cluster; several are tried in order", valueName: "host:port" },
  authServer: {
    type: "string",
    description: "Auth service, when it is not reached through the proxy; several are tried in order",
    valueName: "host:port",
  },
  ...SERVER_TRUST,
  ...FORMAT,
} as const satisfies Flags;

/** Flags that every `mezd` command takes. */
export const MEZD_FLAGS = {
  config: { type: "string", short: "c", description: "Configuration file (default: /etc/mezite/mezite.yaml)", valueName: "file" },
} as const satisfies Flags;

/** Whether `mezctl` itself uses a flag of this name, without its dashes; no command that a server describes may have it. */
export function isReservedFlag(name: string): boolean {
  const bare = name.replace(/-stdin$/, "");
  return bare === "help" || Object.keys(MEZCTL_FLAGS).some((key) => kebabCase(key) === bare);
}
