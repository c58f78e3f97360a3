import type { ProcessRole } from "../plugin/contract.js";

/** How the file speaks of one plugin. */
export interface PluginSetting {
  /** `null` when the file does not say. */
  readonly enabled: boolean | null;
  /** Checked against the manifest's schema, defaults filled in, secrets read, frozen. */
  readonly config: unknown;
}

/** The checked, frozen configuration of a process. */
export interface Config {
  /** Where it was read from, `null` for built-in defaults. */
  readonly file: string | null;
  readonly clusterName: string;
  /** Absolute path. */
  readonly dataDirectory: string;
  readonly logLevel: "debug" | "info" | "warn" | "error";
  readonly logFormat: "auto" | "json" | "text";
  /** Roles that `mezd start` runs. */
  readonly roles: ReadonlySet<ProcessRole>;
  readonly auth: {
    /** `host:port`; an empty host is every interface. */
    readonly listenAddress: string;
    /** Where proxies and nodes reach the auth service. */
    readonly addresses: readonly string[];
  };
  readonly databaseDriver: string;
  /** By plugin id; every plugin of the catalog is there. */
  readonly plugins: ReadonlyMap<string, PluginSetting>;
}
