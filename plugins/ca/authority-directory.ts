import { X509Certificate } from "node:crypto";
import type { CollectionSource } from "../../core/plugin/collection.js";
import type { Database } from "../../core/plugin/database.js";
import { fingerprintOf } from "../../core/ssh/public-key.js";
import type { AuthorityType, RotationPhase, TrustBundle } from "./api.js";
import { bundleOf, sshBlob } from "./authority.js";
import { type AuthorityKeyRow, findAuthorities, findAuthorityKeys, type KeyState } from "./authority-repository.js";
import type { CertificateLedger, ValidCertificates } from "./certificate-ledger.js";
import { publicKeyPin } from "./certificate-pin.js";
import { type Laggard, laggards, type TrustFollowerRegistry } from "./trust-followers.js";

/** What people are shown of an authority. */
export interface AuthorityStatus {
  readonly type: AuthorityType;
  readonly phase: RotationPhase;
  readonly phaseSince: Date;
  readonly laggards: readonly Laggard[];
  readonly keys: readonly AuthorityKeyStatus[];
}

/** An SSH and an X.509 key that were made together. */
export interface AuthorityKeyStatus {
  readonly state: KeyState;
  /** 1 for the first keys of the authority; rises with each rotation. */
  readonly generation: number;
  /** `SHA256:…` */
  readonly sshFingerprint: string;
  /** See `certificatePin`. */
  readonly certificatePin: string;
  readonly createdAt: Date;
  readonly certificateExpiresAt: Date;
  readonly valid: ValidCertificates;
}

/** Reads the authorities from the database, without their private keys. */
export class AuthorityDirectory implements CollectionSource<TrustBundle> {
  constructor(
    private readonly database: Database,
    private readonly ledger: Pick<CertificateLedger, "valid">,
    private readonly followers: Pick<TrustFollowerRegistry, "all">,
  ) {}

  entries(): Promise<readonly (readonly [AuthorityType, TrustBundle])[]> {
    return this.database.read(async (em) => {
      const keys = await findAuthorityKeys(em);
      return (await findAuthorities(em)).map(({ type }) => [type, bundleOf(type, keys)] as const);
    });
  }

  /** Every authority by type, its active keys first. */
  status(): Promise<readonly AuthorityStatus[]> {
    return this.database.read(async (em) => {
      const keys = await findAuthorityKeys(em);
      return (await findAuthorities(em)).map(({ type, phase, phaseSince }) => ({
        ...{ type, phase, phaseSince },
        laggards: laggards(type, phase, bundleOf(type, keys), this.followers.all()),
        keys: pairs(keys.filter((key) => key.authority === type)).map((key) => ({
          ...key,
          valid: this.ledger.valid(type, key.generation),
        })),
      }));
    });
  }
}

// --- internal ---

function pairs(keys: readonly AuthorityKeyRow[]): readonly Omit<AuthorityKeyStatus, "valid">[] {
  return keys
    .filter((key) => key.usage === "ssh")
    .flatMap((ssh) => {
      const x509 = keys.find((key) => key.usage === "x509" && key.generation === ssh.generation);
      if (x509 === undefined) return [];
      return {
        state: ssh.state,
        generation: ssh.generation,
        sshFingerprint: fingerprintOf(sshBlob(ssh)),
        certificatePin: publicKeyPin(Buffer.from(x509.publicKey, "base64")),
        createdAt: ssh.createdAt,
        certificateExpiresAt: new X509Certificate(x509.certificate ?? "").validToDate,
      };
    });
}
