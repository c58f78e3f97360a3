import type { Metadata } from "@grpc/grpc-js";
import { isMezError, MezError, messageOf } from "../errors/error.js";
import type { AuditRecord } from "../plugin/audit.js";
import type { Caller } from "../plugin/caller.js";
import type { Logger } from "../plugin/logger.js";
import type { CallContext } from "../plugin/rpc.js";
import type { Authenticator, CallCredentials } from "../ports/authenticator.js";
import type { Authorizer } from "../ports/authorizer.js";
import type { CallRoute } from "./call-route.js";
import { refusedCall } from "./interceptors/audit.js";
import { authenticate } from "./interceptors/authenticate.js";
import { authorize } from "./interceptors/authorize.js";
import type { AnonymousCallLimiter } from "./interceptors/limit.js";
import type { ConnectionFacts } from "./listener.js";
import { NOT_BEGUN, NOT_BEGUN_FOR_GOOD } from "./not-begun.js";

export interface AdmissionParts {
  readonly authenticators: () => readonly Authenticator[];
  readonly authorizer: () => Authorizer;
  readonly anonymousCalls: AnonymousCallLimiter;
  readonly audit: (record: AuditRecord) => void;
  readonly logger: Logger;
  /** Whether this server has lost sight of the cluster, and must not decide anything; default never. */
  readonly isBlind?: () => boolean;
  /** Whether it is blind because a newer release has changed the tables; default never. */
  readonly isOutdated?: () => boolean;
}

/** A call that wants to be answered. */
export interface CallAtTheDoor {
  /** Of the method: `/mezite.locks.v1.LockService/CreateLock`. */
  readonly path: string;
  readonly route: CallRoute;
  readonly facts: ConnectionFacts;
  readonly metadata: Metadata;
  readonly signal: AbortSignal;
}

/** Decides who gets in: a limit for calls without credentials, then who it is, then whether they may. */
export class Admission {
  /** Why nobody is behind the credentials of a call that was not admitted yet: that is not asked, or audited, twice. */
  readonly #unknown = new WeakMap<Metadata, { readonly why: unknown }>();

  constructor(private readonly parts: AdmissionParts) {}

  /** Whether a call is of somebody who is known here, before its request is read. */
  async recognize(facts: ConnectionFacts, metadata: Metadata): Promise<boolean> {
    if (this.parts.isBlind?.() === true) return false;
    try {
      const { kind } = await authenticate(credentialsOf(facts, metadata), this.parts.authenticators());
      return kind !== "anonymous";
    } catch (why) {
      this.#unknown.set(metadata, { why });
      return false;
    }
  }

  /** @throws {MezError} `UNAVAILABLE`, `LIMIT_EXCEEDED`, `UNAUTHENTICATED`, `ACCESS_DENIED`, which is audited */
  async admit({ path, route, facts, metadata, signal }: CallAtTheDoor): Promise<CallContext> {
    const { anonymousCalls, authorizer, audit } = this.parts;
    if (this.parts.isBlind?.() === true) throw this.#blindness();
    if (route.permission === "public") anonymousCalls.admit(facts.address);
    // A public call is served whatever credentials came along: logging in works with an expired session at hand.
    const caller = route.permission === "public" ? ANONYMOUS : await this.#whoCalls(facts, metadata);
    try {
      authorize(caller, route, authorizer());
    } catch (error) {
      if (isMezError(error, "ACCESS_DENIED")) audit(refusedCall(caller, facts.address, path, route, error));
      throw error;
    }
    return {
      ...{ caller, clientAddress: facts.address, signal },
      get serverFingerprint() {
        return facts.serverFingerprint;
      },
    };
  }

  #blindness(): MezError {
    return this.parts.isOutdated?.() === true
      ? new MezError(
          "UNAVAILABLE",
          "this auth server is too old for its database; try another, or start the newer release here",
          {
            fields: NOT_BEGUN_FOR_GOOD,
          },
        )
      : new MezError("UNAVAILABLE", "this auth server cannot reach its database; try another, or again", { fields: NOT_BEGUN });
  }

  /** Whoever was recognized proves it again: the request may have been held back, and a session or a role taken away meanwhile. */
  async #whoCalls(facts: ConnectionFacts, metadata: Metadata): Promise<Caller> {
    const unknown = this.#unknown.get(metadata);
    if (unknown !== undefined) throw unknown.why;
    return authenticate(credentialsOf(facts, metadata), this.parts.authenticators());
  }

  /** Only proxies pass connections on: whoever does says where the client is. @throws {MezError} `ACCESS_DENIED` */
  async admitRelay(clientCertificate: Buffer, clientAddress: string): Promise<void> {
    try {
      const caller = await authenticate({ bearerToken: null, clientCertificate, clientAddress }, this.parts.authenticators());
      if (caller.kind !== "agent" || caller.role !== "proxy")
        throw new MezError("ACCESS_DENIED", "only proxies of the cluster pass connections on");
    } catch (error) {
      this.parts.logger.warn("relayed connection refused", { address: clientAddress, reason: messageOf(error) });
      throw error;
    }
  }
}

// --- internal ---

const ANONYMOUS = { kind: "anonymous" } as const;

function credentialsOf(facts: ConnectionFacts, metadata: Metadata): CallCredentials {
  return {
    bearerToken: bearerToken(metadata),
    clientCertificate: facts.clientCertificate,
    foreignCertificate: facts.foreignCertificate,
    clientAddress: facts.address,
    bytesRead: facts.bytesRead,
  };
}

function bearerToken(metadata: Metadata): string | null {
  const header = metadata.get("authorization")[0];
  if (typeof header !== "string" || header.length > 512) return null;
  return /^Bearer ([A-Za-z0-9_.~+/=-]+)$/i.exec(header)?.[1] ?? null;
}
