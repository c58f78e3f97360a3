import type { ServiceToken } from "./contract.js";
import type { Manifest } from "./manifest.js";

export type PluginState = "on" | "off" | "draining";

/** Where a plugin comes from that is not part of the build, and how it runs. */
export interface PackageInfo {
  /** `npm:<name>@<version>` or `path:<folder or file>`. */
  readonly from: string;
  /** `sha256-` and the hash of the package in hex. */
  readonly integrity: string;
  /** `process` runs it in a child process. */
  readonly isolation: "none" | "process";
  /** Whether the config file names it, or `mezctl plugins add` did. */
  readonly addedBy: "config" | "command";
}

export interface PluginStatus {
  readonly manifest: Manifest;
  readonly state: PluginState;
  /** Where the decision comes from: it cannot be off, the config file, or `mezctl plugins enable | disable`. */
  readonly decidedBy: "essential" | "default" | "config" | "command";
  /** Leases that sessions and calls hold on the running instance. */
  readonly leases: number;
  /** Times it was started in this process. */
  readonly starts: number;
  /** `FileDescriptorSet`s of the services that the commands of its manifest call. */
  readonly descriptors?: readonly Uint8Array[];
  /** `null` for a plugin of the build. */
  readonly package: PackageInfo | null;
}

/** What changed when a generation was replaced; ids in start order. */
export interface ReloadResult {
  readonly generation: number;
  readonly started: readonly string[];
  readonly replaced: readonly string[];
  readonly stopped: readonly string[];
}

/** The host's own controls. */
export interface PluginHost {
  list(): readonly PluginStatus[];
  /**
   * Switches a plugin on in the running process and remembers it.
   * @throws {MezError} `PLUGIN_UNKNOWN`, `PLUGIN_NEEDS_RESTART`, or what the plugin's start threw: then nothing changed.
   */
  enable(id: string): Promise<ReloadResult>;
  /** @throws {MezError} `PLUGIN_REQUIRED` naming who requires it. */
  disable(id: string): Promise<ReloadResult>;
  /** Reads the config file again and applies what changed; with `id`, starts that plugin anew even so. */
  reload(id?: string): Promise<ReloadResult>;
}

export const PLUGIN_HOST: ServiceToken<PluginHost> = { id: "core.plugin-host", version: 1 };
