import { X509Certificate } from "node:crypto";
import type { CollectionSource } from "../../core/plugin/collection.js";
import type { Database } from "../../core/plugin/database.js";
import { fingerprintOf } from "../../core/ssh/public-key.js";
import type { AuthorityType, RotationPhase, TrustBundle } from "./api.js";
import { bundleOf, certificatesOf, jwtAuthorityOf, sshBlob } from "./authority.js";
import {
  type AuthorityKeyRow,
  findAuthorities,
  findAuthorityKeys,
  type KeyState,
  type KeyUsage,
} from "./authority-repository.js";
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

/** The keys of an authority that were made together. */
export interface AuthorityKeyStatus {
  readonly state: KeyState;
  /** 1 for the first keys of the authority; rises with each rotation. */
  readonly generation: number;
  /** `SHA256:…`, empty for an authority without SSH keys. */
  readonly sshFingerprint: string;
  /** See `certificatePin`. */
  readonly certificatePin: string;
  /** `kid` of tokens, empty for an authority that signs none. */
  readonly jwtKeyId: string;
  /** Name under the port KEY_BACKEND. */
  readonly keyBackend: string;
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
      return (await findAuthorities(em)).map(({ type, phaseSince }) => [type, bundleOf(type, keys, phaseSince)] as const);
    });
  }

  /** Every authority by type, its active keys first. */
  status(): Promise<readonly AuthorityStatus[]> {
    return this.database.read(async (em) => {
      const keys = await findAuthorityKeys(em);
      return (await findAuthorities(em)).map(({ type, phase, phaseSince }) => ({
        ...{ type, phase, phaseSince },
        laggards: laggards(type, phase, certificatesOf(type, keys), this.followers.all()),
        keys: sets(keys.filter((key) => key.authority === type)).map((key) => ({
          ...key,
          valid: this.ledger.valid(type, key.generation),
        })),
      }));
    });
  }
}

// --- internal ---

function sets(keys: readonly AuthorityKeyRow[]): readonly Omit<AuthorityKeyStatus, "valid">[] {
  return keys
    .filter((key) => key.usage === "x509")
    .map((x509) => {
      const beside = (usage: KeyUsage) => keys.find((key) => key.usage === usage && key.generation === x509.generation);
      const [ssh, jwt] = [beside("ssh"), beside("jwt")];
      return {
        state: x509.state,
        generation: x509.generation,
        sshFingerprint: ssh === undefined ? "" : fingerprintOf(sshBlob(ssh)),
        certificatePin: publicKeyPin(Buffer.from(x509.publicKey, "base64")),
        jwtKeyId: jwt === undefined ? "" : jwtAuthorityOf(jwt).keyId,
        keyBackend: x509.backend,
        createdAt: x509.createdAt,
        certificateExpiresAt: new X509Certificate(x509.certificate ?? "").validToDate,
      };
    });
}
