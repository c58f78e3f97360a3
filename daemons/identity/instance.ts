import { isMezError, MezError } from "../../core/errors/error.js";
import { deriveJoinTokenKeys } from "../../core/join/join-token-keys.js";
import type { Secret } from "../../core/plugin/secret.js";
import type { Clock } from "../../core/time/clock.js";
import type { AuthLink } from "./auth-link.js";
import type { CertificateFolder } from "./certificate-folder.js";
import { type CertificateSet, certificateSetOf } from "./certificate-set.js";

export interface InstanceParts {
  readonly folder: CertificateFolder;
  readonly link: AuthLink;
  readonly clock: Clock;
  readonly token: Secret | null;
  readonly certTtlSeconds: number;
}

/** A set, and why its certificates live shorter than what was asked for; empty when they do not. */
export interface ObtainedSet {
  readonly set: CertificateSet;
  readonly notice: string;
}

/** This machine's instance: gets its certificates and renews them, one generation after the other. */
export class IdentityInstance {
  #set: CertificateSet | null = null;
  #busy: Promise<void> = Promise.resolve();

  constructor(private readonly parts: InstanceParts) {}

  get current(): CertificateSet | null {
    return this.#set;
  }

  /**
   * Reads what an earlier run has left.
   * @returns `true` when it can be gone on with; `false` when there is nothing, or a token that it was not made with.
   * @throws {MezError} `IDENTITY_UNREADABLE`, `INVALID_ARGUMENT` for a token that is none, those of the folder
   */
  async restore(): Promise<boolean> {
    const { folder, token, clock } = this.parts;
    const tokenId = token === null ? null : deriveJoinTokenKeys(token).id.toString("hex");
    const stored = await folder.load();
    // A program may have read the name of a set that was replaced right before this start: `settle` removes that one.
    const replacedAt = (await folder.replacedAt())?.getTime() ?? 0;
    if (clock.now().getTime() > replacedAt + MAX_SETTLE_MS) await folder.removeOld();
    if (stored === null) return false;
    // The switch to these keys was made, and the process ended before it could say so.
    const pending = await folder.storedPendingKeys();
    if (pending?.sshPublicKey.equals(stored.keys.sshPublicKey) === true) await folder.dropPendingKeys();
    if (tokenId !== null && (tokenId !== stored.tokenId || isDead(stored, clock.now()))) return false;
    this.#set = stored;
    if (!(await folder.isConfigured())) await folder.save(stored);
    return true;
  }

  /** Whether a request was made whose answer never came. */
  async isInterrupted(): Promise<boolean> {
    return (await this.parts.folder.storedPendingKeys()) !== null;
  }

  /** @throws {MezError} `JOIN_TOKEN_REQUIRED`, `JOIN_REFUSED`, `JOIN_SERVER_UNPROVEN`, `UNAVAILABLE`, those of the folder */
  async bootstrap(signal: AbortSignal): Promise<ObtainedSet> {
    const { folder, link, token, certTtlSeconds, clock } = this.parts;
    if (token === null)
      throw new MezError(
        "JOIN_TOKEN_REQUIRED",
        "this folder holds no certificates yet; make a token with mezctl agent-identities add and give it with MEZITE_IDENTITY_TOKEN or --token-file",
      );
    const tokenId = deriveJoinTokenKeys(token).id.toString("hex");
    const keys = await folder.pendingKeys();
    const answer = await link.bootstrap(token, keys, certTtlSeconds, signal);
    return this.#use(certificateSetOf(answer, keys, tokenId, clock.now()), answer.notice);
  }

  /** @throws {MezError} `UNAUTHENTICATED`, `ACCESS_DENIED`, `UNAVAILABLE`, those of the folder */
  renew(signal: AbortSignal): Promise<ObtainedSet> {
    const { folder, link, certTtlSeconds, clock } = this.parts;
    return this.#alone(async () => {
      const old = this.#required();
      const keys = await folder.pendingKeys();
      const answer = await link.renew(old, keys, certTtlSeconds, signal);
      return this.#use(certificateSetOf(answer, keys, old.tokenId, clock.now()), answer.notice);
    });
  }

  /** Names of the sets that are no longer current. */
  replaced(): Promise<readonly string[]> {
    return this.#alone(() => this.parts.folder.replaced());
  }

  /** Says that the current set is in use, and removes these sets. */
  settle(replaced: readonly string[], signal: AbortSignal): Promise<void> {
    return this.#alone(async () => {
      await this.parts.link.confirm(this.#required(), signal);
      await this.parts.folder.removeOld(replaced);
    });
  }

  /** Trusts these Host CA keys from now on, with the certificates as they are. @returns `false` when they are known. */
  trust(trustPem: readonly string[], knownHosts: string): Promise<boolean> {
    return this.#alone(async () => {
      const old = this.#required();
      if (old.knownHosts === knownHosts && old.trustPem.join() === trustPem.join()) return false;
      await this.parts.folder.save({ ...old, trustPem, knownHosts });
      this.#set = { ...old, trustPem, knownHosts };
      return true;
    });
  }

  /** One change of the folder at a time. */
  #alone<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#busy.then(work);
    this.#busy = result.then(
      () => {},
      () => {},
    );
    return result;
  }

  async #use(set: CertificateSet, notice: string): Promise<ObtainedSet> {
    await this.parts.folder.save(set);
    this.#set = set;
    await this.parts.folder.dropPendingKeys();
    return { set, notice };
  }

  #required(): CertificateSet {
    if (this.#set === null) throw new MezError("INTERNAL", "there is no set of certificates yet");
    return this.#set;
  }
}

/** How long programs have, at most, to finish with a set that was replaced. */
export const MAX_SETTLE_MS = 10_000;

/** Tells whether nothing can be done with a set any more, also where clocks differ by a minute. */
export function isDead({ expiresAt }: Pick<CertificateSet, "expiresAt">, now: Date): boolean {
  return now.getTime() > expiresAt.getTime() + CLOCK_SKEW_MS;
}

/** Tells whether trying again cannot help. */
export function isFinal(error: unknown): boolean {
  return isMezError(
    error,
    ...(["UNAUTHENTICATED", "JOIN_REFUSED", "JOIN_SERVER_UNPROVEN", "JOIN_TOKEN_REQUIRED"] as const),
    ...(["INVALID_ARGUMENT", "DESTINATION_UNUSABLE", "IDENTITY_UNREADABLE"] as const),
  );
}

// --- internal ---

const CLOCK_SKEW_MS = 60_000;
