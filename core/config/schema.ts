/** JSON Schema of the sections that belong to the host. Plugins' own sections and configs are added by `load.ts`. */
export const HOST_SECTIONS = {
  cluster_name: {
    type: "string",
    default: "mezite",
    pattern: "^[a-z0-9][a-z0-9.-]{0,62}$",
    description: "a name of lower-case letters, digits, dots and dashes; stands in certificates, so it is never changed",
  },
  data_dir: {
    type: "string",
    minLength: 1,
    default: "/var/lib/mezite",
    description: "folder for keys, database and recordings; made with mode 0700",
  },
  plugins_dir: {
    type: "string",
    minLength: 1,
    default: ".",
    description: "folder whose node_modules holds npm: packages, and in which relative path: sources begin",
  },
  log: {
    type: "object",
    additionalProperties: false,
    default: {},
    properties: {
      level: { enum: ["debug", "info", "warn", "error"], default: "info", description: "least severe lines that are written" },
      format: { enum: ["auto", "json", "text"], default: "auto", description: "auto is text on a terminal and JSON elsewhere" },
    },
  },
  auth: {
    type: "object",
    additionalProperties: false,
    default: {},
    properties: {
      enabled: { type: "boolean", default: true, description: "run the auth service in mezd start" },
      listen_addr: { type: "string", default: ":3025", description: "gRPC address, host:port" },
      addresses: {
        type: "array",
        items: { type: "string", minLength: 1 },
        minItems: 1,
        description: "host:port of the auth service, for proxies and nodes; default: this machine",
      },
    },
  },
} as const;

/** Switches of `mezd start` that stand in a section which otherwise belongs to a plugin. */
export const ENABLED_SWITCH = { type: "boolean", description: "run this service in mezd start" } as const;

/** How the file names the package of a plugin that is not part of the build. */
export const PACKAGE_KEYS = {
  from: { type: "string", minLength: 1, description: "npm:<name>@<version> or path:<folder or file>" },
  integrity: {
    type: "string",
    pattern: "^sha256-[0-9a-f]{64}$",
    description: 'sha256- and 64 hexadecimal digits, as "mezctl plugins pin" shows them',
  },
  isolation: { enum: ["none", "process"], description: "process runs it in a child process; default: as its manifest says" },
  memory_mib: {
    type: "integer",
    minimum: 64,
    maximum: 65_536,
    description: "memory that the child process may use; default 256",
  },
} as const;

/** One entry under `plugins:`; `config` is filled in with the plugin's own schema. */
export function pluginEntry(config: unknown, isPackage = false): object {
  return {
    type: "object",
    additionalProperties: false,
    properties: { enabled: { type: "boolean", description: "true or false" }, ...(isPackage ? PACKAGE_KEYS : {}), config },
  };
}
