import { MezError, messageOf } from "../../core/errors/error.js";
import type { Collection } from "../../core/plugin/collection.js";
import type { Database } from "../../core/plugin/database.js";
import type { Logger } from "../../core/plugin/logger.js";
import type { KeyBackend } from "../../core/ports/key-backend.js";
import { issueCertificateWith } from "../../core/ssh/certificate-issue.js";
import type { Clock } from "../../core/time/clock.js";
import type {
  AuthorityType,
  CertificateAuthorities,
  SshCertificate,
  SshCertificateRequest,
  SshUserCertificateRequest,
  TrustBundle,
  X509Certificate,
  X509CertificateRequest,
} from "./api.js";
import { type Authority, assembleAuthority } from "./authority.js";
import { findAuthorities, findAuthorityKeys } from "./authority-repository.js";
import { acceptedPublicKey } from "./subject-key.js";
import { randomSshSerial, randomX509Serial, validityOf } from "./validity.js";
import { certificatePem, distinguishedName, keyIdentifier, signX509 } from "./x509-certificate.js";
import { leafExtensions } from "./x509-extensions.js";

export interface CertificateAuthoritiesOptions {
  readonly database: Database;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly clusterName: string;
  readonly backendOf: (name: string) => KeyBackend;
  /** Told of each certificate that is issued. */
  readonly onIssued?: (type: AuthorityType, generation: number, expiresAt: Date) => void;
}

/** Signs with the authorities that it holds in memory; `load` reads them, `follow` reads them again when they change. */
export class KeyBackedAuthorities implements CertificateAuthorities {
  #authorities: ReadonlyMap<AuthorityType, Authority> = new Map();
  #loading: Promise<void> = Promise.resolve();

  constructor(private readonly options: CertificateAuthoritiesOptions) {}

  /** Reads the authorities from the database. */
  async load(): Promise<void> {
    const { database, clusterName, backendOf } = this.options;
    const [rows, keys] = await database.read(async (em) => [await findAuthorities(em), await findAuthorityKeys(em)]);
    this.#authorities = new Map(rows.map((row) => [row.type, assembleAuthority(row, clusterName, keys, backendOf)]));
  }

  /** Loads again, one at a time, after each change of the trust bundles. Returns the way to stop. */
  follow(bundles: Collection<TrustBundle>): () => void {
    return bundles.onChange(() => {
      this.#loading = this.#loading
        .then(() => this.load())
        .catch((error: unknown) =>
          this.options.logger.error("the CA keys could not be read again; signing goes on with the former ones", {
            error: messageOf(error),
          }),
        );
    });
  }

  /** Resolves when every change that was committed before the call is in force. */
  settled(): Promise<void> {
    return this.#loading;
  }

  issueUserCertificate(request: SshUserCertificateRequest): Promise<SshCertificate> {
    return this.issueSsh("user", request);
  }

  issueHostCertificate(request: SshCertificateRequest): Promise<SshCertificate> {
    const { publicKeyBlob, keyId, principals, ttlSeconds } = request;
    return this.issueSsh("host", { publicKeyBlob, keyId, principals, ttlSeconds });
  }

  issueUserX509(request: X509CertificateRequest): Promise<X509Certificate> {
    return this.issueX509("user", request);
  }

  issueHostX509(request: X509CertificateRequest): Promise<X509Certificate> {
    return this.issueX509("host", request);
  }

  trustBundle(type: AuthorityType): TrustBundle {
    return this.authority(type).bundle;
  }

  /** The authority with the keys that sign now. @throws {MezError} `UNAVAILABLE` before the plugin has started. */
  async signing(type: AuthorityType): Promise<Authority> {
    // A certificate that is asked for because another key signs now has to come from that key.
    await this.#loading;
    return this.authority(type);
  }

  noteIssued(type: AuthorityType, generation: number, expiresAt: Date): void {
    this.options.onIssued?.(type, generation, expiresAt);
  }

  private async issueSsh(type: "user" | "host", request: SshUserCertificateRequest): Promise<SshCertificate> {
    const { publicKeyBlob: subjectBlob, keyId, principals, ttlSeconds, criticalOptions, extensions } = request;
    const { ssh, generation } = await this.signing(type);
    if (ssh === null) throw new MezError("INVALID_ARGUMENT", `the ${type} CA signs no SSH certificates`);
    const validity = validityOf(type, ttlSeconds, this.options.clock.now());
    const serial = randomSshSerial();
    const blob = await issueCertificateWith(
      {
        role: type,
        subjectBlob,
        serial,
        keyId,
        principals,
        validAfter: validity.validFrom,
        validBefore: validity.expiresAt,
        criticalOptions,
        extensions,
      },
      ssh,
    );
    this.noteIssued(type, generation, validity.expiresAt);
    return { blob, serial: serial.toString(), ...validity };
  }

  private async issueX509(type: AuthorityType, request: X509CertificateRequest): Promise<X509Certificate> {
    const { generation, x509 } = await this.signing(type);
    const { signer, name, keyId, expiresAt } = x509;
    const validity = validityOf(type, request.ttlSeconds, this.options.clock.now());
    const notAfter = new Date(Math.min(validity.expiresAt.getTime(), expiresAt.getTime()));
    const subjectPublicKeyDer = acceptedPublicKey(request.publicKeyDer);
    const serial = randomX509Serial();
    const der = await signX509(
      {
        serial,
        issuer: name,
        subject: distinguishedName(
          attribute(request.commonName, "common name"),
          request.organization && attribute(request.organization, "organization"),
        ),
        subjectPublicKeyDer,
        notBefore: validity.validFrom,
        notAfter,
        extensions: leafExtensions(
          request,
          type === "user" ? "client" : "client-and-server",
          keyIdentifier(subjectPublicKeyDer),
          keyId,
        ),
      },
      signer,
    );
    this.noteIssued(type, generation, notAfter);
    return { pem: certificatePem(der), serial: serial.toString("hex"), validFrom: validity.validFrom, expiresAt: notAfter };
  }

  private authority(type: AuthorityType): Authority {
    const authority = this.#authorities.get(type);
    if (authority === undefined) throw new MezError("UNAVAILABLE", `the ${type} CA is not ready yet`);
    return authority;
  }
}

// --- internal ---

/** RFC 5280, appendix A.1: both attributes hold 1 to 64 characters. */
function attribute(text: string, what: string): string {
  if (text.length < 1 || text.length > 64 || /[\x00-\x1f\x7f]/.test(text)) {
    throw new MezError(
      "INVALID_ARGUMENT",
      `${what} "${text.slice(0, 80)}" must have 1 to 64 characters and no control characters`,
    );
  }
  return text;
}
