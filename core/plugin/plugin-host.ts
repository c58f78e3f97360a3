import type { ServiceToken } from "./contract.js";
import type { Transaction } from "./database.js";
import type { Manifest } from "./manifest.js";

/** `missing`: its package is not there as it was decided, and the server runs without it. */
export type PluginState = "on" | "off" | "draining" | "missing";

/** Where a plugin comes from that is not part of the build, and how it runs. */
export interface PackageInfo {
  /** `npm:<name>@<version>` or `path:<folder or file>`. */
  readonly from: string;
  /** `sha256-` and the hash of the package in hex. */
  readonly integrity: string;
  /** `process` runs it in a child process. */
  readonly isolation: "none" | "process";
  /** Memory that the child process may use. */
  readonly memoryMib: number;
  /** Whether the config file names it, or `mezctl plugins add` did. */
  readonly addedBy: "config" | "command";
  /** What is wrong with the package where it lies, while the server goes on without it; absent when nothing is. */
  readonly problem?: string;
}

/** How a plugin fares that runs in a process of its own. */
export interface PluginHealth {
  readonly state: "running" | "restarting";
  /** Times that the process has ended and was started again. */
  readonly restarts: number;
  /** Of the process, `null` while there is none. */
  readonly pid: number | null;
  /** Resident memory in bytes, `null` when it is not known. */
  readonly memoryBytes: number | null;
  /** What went wrong last: why its process ended or did not start, or what a call to it threw. `null` when nothing has. */
  readonly lastFailure: string | null;
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
  /** `null` unless it runs in a process of its own. */
  readonly health?: PluginHealth | null;
}

/** What changed when a generation was replaced; ids in start order. */
export interface ReloadResult {
  readonly generation: number;
  readonly started: readonly string[];
  readonly replaced: readonly string[];
  readonly stopped: readonly string[];
}

/** What a package is, as it lies on this machine. */
export interface PackageIdentity {
  /** Of its plugin. */
  readonly id: string;
  readonly version: string;
  /** `sha256-` and the hash of the package in hex. */
  readonly integrity: string;
  /** Ids of the ports that its manifest says it fills. */
  readonly ports: readonly string[];
}

/** A package that is to become a plugin of the running process. */
export interface PackageToAdd {
  readonly from: string;
  /** What it has to have; absent takes what is there. */
  readonly integrity?: string;
  /** Absent: as its manifest says. */
  readonly isolation?: "none" | "process";
  /** For a process of its own. */
  readonly memoryMib?: number;
  /** As in the config file. */
  readonly config?: Readonly<Record<string, unknown>>;
}

/** How an auth server follows what was decided of plugins. */
export interface ServerStatus {
  /** Of its host. */
  readonly name: string;
  /** Where it listens; empty when that is not known yet. */
  readonly address: string;
  readonly isThis: boolean;
  /** Whether it runs what was decided last. */
  readonly isCurrent: boolean;
  /** Why it does not; empty when nothing is wrong. */
  readonly problem: string;
}

/** Adds to the transaction that makes a change hold: all of it, or nothing. */
export type Recorded = (tx: Transaction, change: ReloadResult) => void;

export type PackageRecorded = (tx: Transaction, change: ReloadResult, identity: PackageIdentity) => void;

/**
 * The host's own controls. Where auth servers share a database, what is decided in one is done by all; this process first, and
 * when it cannot, nothing is decided.
 */
export interface PluginHost {
  list(): readonly PluginStatus[];
  /** Of all auth servers, this one first; empty where the database is this server's alone. */
  servers(): Promise<readonly ServerStatus[]>;
  /**
   * Switches a plugin on in the running process and remembers it.
   * @throws {MezError} `PLUGIN_UNKNOWN`, `PLUGIN_NEEDS_RESTART`, or what the plugin's start threw: then nothing changed.
   */
  enable(id: string, recorded?: Recorded): Promise<ReloadResult>;
  /** @throws {MezError} `PLUGIN_REQUIRED` naming who requires it. */
  disable(id: string, recorded?: Recorded): Promise<ReloadResult>;
  /**
   * Reads the config file again and applies what changed; with `id`, starts that plugin anew even so.
   * @param recorded Absent: this process alone, as by a signal.
   */
  reload(id?: string, recorded?: Recorded): Promise<ReloadResult>;
  /**
   * Tells what a package on this machine is; nothing of it is run.
   * @throws {MezError} `PLUGIN_PACKAGE_REFUSED`, `PLUGIN_MANIFEST_INVALID`, `INVALID_ARGUMENT`
   */
  identify(from: string): Promise<PackageIdentity>;
  /**
   * Takes a package of this machine into the running process, and remembers it; one that was added before is replaced.
   * @throws {MezError} why it cannot be: then nothing changed
   */
  add(wanted: PackageToAdd, recorded?: PackageRecorded): Promise<PackageIdentity & { readonly change: ReloadResult }>;
  /** Takes the package of an added plugin as it lies there now. @throws {MezError} `PLUGIN_UNKNOWN`, `CONFLICT` */
  pin(id: string, recorded?: PackageRecorded): Promise<PackageIdentity & { readonly change: ReloadResult }>;
  /** Takes an added plugin out again; its data stays. @throws {MezError} `PLUGIN_UNKNOWN`, `PLUGIN_REQUIRED`, `CONFLICT` */
  remove(id: string, recorded?: Recorded): Promise<ReloadResult>;
}

export const PLUGIN_HOST: ServiceToken<PluginHost> = { id: "core.plugin-host", version: 1 };
