import { X509Certificate } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { isMezError, MezError, messageOf } from "../../core/errors/error.js";
import type { ProcessRole } from "../../core/plugin/contract.js";
import type { RpcDialer } from "../../core/plugin/dialer.js";
import type { HostCredentials, HostIdentity } from "../../core/plugin/host-identity.js";
import type { Logger } from "../../core/plugin/logger.js";
import type { RpcConnection } from "../../core/plugin/rpc.js";
import type { Clock } from "../../core/time/clock.js";
import type { Enrolment } from "./enrolment.js";
import { FollowingConnection } from "./following-connection.js";
import { RENEWAL_RETRY_MS, renewalDelayMs } from "./renewal-schedule.js";

const JOIN_PATIENCE_MS = 20_000;
const JOIN_RETRY_MS = 1_000;

export interface RoleIdentityParts {
  readonly role: ProcessRole;
  readonly enrolment: Enrolment;
  readonly dialer: RpcDialer;
  readonly addresses: readonly string[];
  readonly clock: Clock;
  readonly logger: Logger;
}

/** The credentials of one role of this process: obtained once, then renewed until `stop`. */
export class RoleIdentity implements HostIdentity {
  readonly #listeners = new Set<(credentials: HostCredentials) => void>();
  readonly #stopped = new AbortController();
  #credentials: HostCredentials | null = null;
  #connection: FollowingConnection | null = null;
  #timer: NodeJS.Timeout | null = null;
  #renewing: Promise<void> | null = null;

  constructor(private readonly parts: RoleIdentityParts) {}

  get role(): ProcessRole {
    return this.parts.role;
  }

  get isReady(): boolean {
    return this.#credentials !== null;
  }

  /**
   * Takes the stored credentials, or joins. While the auth service is out of reach it tries again for 20 s.
   * @throws {MezError} `CONFLICT` for stored credentials of another name; what `Enrolment.join` throws
   */
  async obtain(name: string): Promise<void> {
    const stored = await this.parts.enrolment.stored();
    if (stored !== null && stored.name !== name) {
      throw new MezError(
        "CONFLICT",
        `this host has joined as "${stored.name}", not "${name}"; keep the name, or delete its stored credentials and join anew`,
      );
    }
    const isValid = stored !== null && stored.expiresAt > this.parts.clock.now();
    if (stored !== null && !isValid)
      this.parts.logger.warn("the stored host certificate has expired", { name, expiresAt: stored.expiresAt.toISOString() });
    this.#use(stored !== null && isValid ? stored : await this.#joinPatiently(name));
  }

  /** Joins anew, for credentials that the cluster does not know any more. */
  async rejoin(): Promise<void> {
    this.#use(await this.parts.enrolment.join(this.current().name));
  }

  current(): HostCredentials {
    if (this.#credentials === null) throw new MezError("UNAVAILABLE", `this ${this.role} has not joined the cluster yet`);
    return this.#credentials;
  }

  onChange(listener: (credentials: HostCredentials) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  connection(): RpcConnection {
    this.#connection ??= new FollowingConnection(this.#dial());
    return this.#connection;
  }

  /** Trusts these Host CA certificates from now on, also after a restart. */
  async trust(trustPem: readonly string[]): Promise<void> {
    const known = this.#credentials;
    if (known === null || trustPem.length === 0 || known.trustPem.join() === trustPem.join()) return;
    const trusting = { ...known, trustPem };
    this.#set(trusting);
    await this.parts.enrolment
      .keep(trusting)
      .catch((error: unknown) =>
        this.parts.logger.error("could not store the new CA certificates", { reason: messageOf(error) }),
      );
  }

  /** Whether `authorityPem` signed the current certificate; also `true` when there is nothing to compare. */
  isSignedBy(authorityPem: string | undefined): boolean {
    if (authorityPem === undefined || this.#credentials === null) return true;
    return new X509Certificate(this.#credentials.certificatePem).verify(new X509Certificate(authorityPem).publicKey);
  }

  /** Renews within `withinMs`, at a random moment; 0 is at once. */
  renewSoon(withinMs: number): void {
    if (this.#credentials !== null) this.#schedule(Math.random() * withinMs);
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    if (this.#timer !== null) clearTimeout(this.#timer);
    await this.#renewing;
    this.#connection?.close();
  }

  async #joinPatiently(name: string): Promise<HostCredentials> {
    const deadline = Date.now() + JOIN_PATIENCE_MS;
    for (;;) {
      try {
        return await this.parts.enrolment.join(name);
      } catch (error) {
        if (!isMezError(error, "UNAVAILABLE", "TIMEOUT") || Date.now() > deadline || this.#stopped.signal.aborted) throw error;
        this.parts.logger.warn("cannot join yet, trying again", { reason: messageOf(error) });
      }
      await sleep(JOIN_RETRY_MS, undefined, { signal: this.#stopped.signal }).catch(() => {});
    }
  }

  #use(credentials: HostCredentials): void {
    this.#set(credentials);
    this.#schedule(renewalDelayMs(credentials, this.parts.clock.now()));
  }

  #set(credentials: HostCredentials): void {
    this.#credentials = credentials;
    this.#connection?.replace(this.#dial());
    for (const listener of this.#listeners) listener(credentials);
  }

  #schedule(delayMs: number): void {
    if (this.#stopped.signal.aborted) return;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#renewing ??= this.#renew().finally(() => {
        this.#renewing = null;
      });
    }, delayMs);
    this.#timer.unref();
  }

  async #renew(): Promise<void> {
    try {
      const renewed = await this.parts.enrolment.renew(this.current(), this.connection());
      if (this.#stopped.signal.aborted) return;
      this.#use(renewed);
      this.parts.logger.info("renewed the host certificate", { role: this.role, expiresAt: renewed.expiresAt.toISOString() });
    } catch (error) {
      this.parts.logger.warn("could not renew the host certificate, trying again", { role: this.role, reason: messageOf(error) });
      this.#schedule(RENEWAL_RETRY_MS * (0.5 + Math.random()));
    }
  }

  #dial(): RpcConnection {
    const { certificatePem, privateKeyPem, trustPem } = this.current();
    const { dialer, addresses } = this.parts;
    return dialer.dial({
      addresses,
      trust: { kind: "authorities", certificatesPem: trustPem },
      identity: { certificatePem, privateKeyPem },
    });
  }
}
