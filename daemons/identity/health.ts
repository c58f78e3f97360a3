import type { Clock } from "../../core/time/clock.js";
import type { CertificateSet } from "./certificate-set.js";

/** How the daemon is doing, as `GET /healthz` tells it. */
export interface HealthReport {
  /** `failing`: the certificates are good, and the last renewal failed. */
  readonly status: "starting" | "ok" | "failing" | "expired";
  readonly identity: string | null;
  readonly generation: number | null;
  readonly serial: string | null;
  readonly expires_at: string | null;
  readonly last_renewal: string | null;
  readonly last_error: string | null;
}

/** Keeps what is known of the daemon's health. */
export class HealthState {
  #set: CertificateSet | null = null;
  #error: string | null = null;

  constructor(private readonly clock: Clock) {}

  succeeded(set: CertificateSet): void {
    this.#set = set;
    this.#error = null;
  }

  failed(error: string): void {
    this.#error = error;
  }

  report(): HealthReport {
    const set = this.#set;
    return {
      status: this.#status(),
      identity: set?.identity ?? null,
      generation: set?.generation ?? null,
      serial: set?.sshSerial ?? null,
      expires_at: set?.expiresAt.toISOString() ?? null,
      last_renewal: set?.issuedAt.toISOString() ?? null,
      last_error: this.#error,
    };
  }

  #status(): HealthReport["status"] {
    if (this.#set === null) return "starting";
    if (this.#set.expiresAt <= this.clock.now()) return "expired";
    return this.#error === null ? "ok" : "failing";
  }
}
