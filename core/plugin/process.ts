import type { Clock } from "../time/clock.js";
import type { ProcessRole, ServiceToken } from "./contract.js";
import type { Secret } from "./secret.js";

/** Facts about the process that plugins run in. */
export interface ProcessInfo {
  readonly clusterName: string;
  readonly version: string;
  readonly roles: ReadonlySet<ProcessRole>;
  /** Absolute path; exists, belongs to us, mode 0700. */
  readonly dataDirectory: string;
  /** `host:port` of the auth service, for roles that call it. */
  readonly authAddresses: readonly string[];
  /** One-time join token from `--token`, its file or `MEZITE_JOIN_TOKEN`; `null` when none was given. */
  readonly joinToken: Secret | null;
}

export const PROCESS: ServiceToken<ProcessInfo> = { id: "core.process", version: 1 };
export const CLOCK: ServiceToken<Clock> = { id: "core.clock", version: 1 };

/** Keeps the plugin instance that resolved it, and all that it requires, alive until returned. */
export interface Leases {
  take(): Lease;
}

export interface Lease {
  /** May be called twice. */
  return(): void;
}

/** A session takes a lease when it begins, so that a reload replaces its plugin without ending it. */
export const LEASES: ServiceToken<Leases> = { id: "core.leases", version: 1 };
