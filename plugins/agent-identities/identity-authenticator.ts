import { X509Certificate } from "node:crypto";
import { MezError } from "../../core/errors/error.js";
import type { Caller } from "../../core/plugin/caller.js";
import type { Collection } from "../../core/plugin/collection.js";
import type { Authenticator, CallCredentials } from "../../core/ports/authenticator.js";
import { type Guards, requireNoRefusal } from "../../core/ports/guard.js";
import type { Clock } from "../../core/time/clock.js";
import type { CertificateAuthorities } from "../ca/api.js";
import { type Access, MACHINE_PREFIX, type UserEntry } from "../roles/api.js";
import { machineNameOf } from "./agent-identity.js";
import type { PresentedInstance } from "./instance-service.js";

export interface IdentityAuthenticatorParts {
  readonly authorities: Pick<CertificateAuthorities, "trustBundle">;
  readonly machines: Collection<UserEntry>;
  readonly access: Access;
  readonly guards: Guards;
  readonly clock: Clock;
  readonly clusterName: string;
}

/** Knows machines by the X.509 certificates of their instances. TLS has checked that they hold the keys, nothing else. */
export class IdentityAuthenticator implements Authenticator {
  /** By the connection's certificate, which is the same for each of its calls. */
  readonly #read = new WeakMap<Buffer, ReadCertificate>();

  constructor(private readonly parts: IdentityAuthenticatorParts) {}

  async authenticate({ bearerToken, foreignCertificate = null }: CallCredentials): Promise<Caller | null> {
    if (bearerToken !== null || foreignCertificate === null) return null;
    const { presented, validFrom, validTo } = this.#readOnce(foreignCertificate);
    if (presented === null) return null;
    const { access, guards, clock, machines } = this.parts;
    const { name, instance, generation } = presented;
    const machine = machineNameOf(name);
    const now = clock.now();
    if (now < validFrom || now >= validTo)
      throw new MezError("UNAUTHENTICATED", `the certificate of ${machine} has expired; bootstrap again with a new token`);
    const entry = machines.get(machine);
    if (entry === undefined) throw new MezError("UNAUTHENTICATED", `${machine} was deleted from this cluster`);
    const standing = access.standing({ user: machine, roles: entry.roles, instance });
    if (standing !== null) throw new MezError("ACCESS_DENIED", standing);
    requireNoRefusal(guards, { agentIdentity: name, roles: entry.roles, instance });
    return {
      ...{ kind: "agent_identity", name, instance, generation },
      roles: entry.roles,
      isSuperseded: access.isSuperseded(instance, generation),
    };
  }

  /** What the certificate says, verified again when other keys are trusted. */
  #readOnce(der: Buffer): ReadCertificate {
    const { certificatesPem } = this.parts.authorities.trustBundle("user");
    const known = this.#read.get(der);
    if (known?.trustedPem === certificatesPem) return known;
    const certificate = new X509Certificate(der);
    const read = {
      trustedPem: certificatesPem,
      presented: isIssuedUnder(certificatesPem, certificate) ? this.#instanceOf(certificate) : null,
      validFrom: certificate.validFromDate,
      validTo: certificate.validToDate,
    };
    this.#read.set(der, read);
    return read;
  }

  #instanceOf(certificate: X509Certificate): PresentedInstance | null {
    const start = `URI:mezite://${this.parts.clusterName}/${MACHINE_PREFIX}`;
    for (const entry of (certificate.subjectAltName ?? "").split(", ")) {
      const [name, instance, generation, ...rest] = entry.startsWith(start) ? entry.slice(start.length).split("/") : [];
      if (name !== undefined && instance !== undefined && generation !== undefined && rest.length === 0)
        return { name, instance, generation: Number(generation) };
    }
    return null;
  }
}

// --- internal ---

interface ReadCertificate {
  /** The trust bundle that it was verified with. */
  readonly trustedPem: readonly string[];
  /** `null` for a certificate of another authority, or of another kind. */
  readonly presented: PresentedInstance | null;
  readonly validFrom: Date;
  readonly validTo: Date;
}

function isIssuedUnder(trustedPem: readonly string[], certificate: X509Certificate): boolean {
  return trustedPem.some((pem) => {
    const authority = new X509Certificate(pem);
    return certificate.checkIssued(authority) && certificate.verify(authority.publicKey);
  });
}
