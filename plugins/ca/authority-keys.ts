import { randomUUID } from "node:crypto";
import type { KeyAlgorithm, KeyBackend } from "../../core/ports/key-backend.js";
import type { Clock } from "../../core/time/clock.js";
import type { AuthorityType } from "./api.js";
import type { AuthorityKeyRow, KeyState, KeyUsage } from "./authority-repository.js";
import { AUTHORITIES, authorityName } from "./authority-type.js";
import { backdated, randomX509Serial } from "./validity.js";
import { certificatePem, distinguishedName, keyIdentifier, signX509 } from "./x509-certificate.js";
import { authorityExtensions } from "./x509-extensions.js";

const AUTHORITY_YEARS = 10;

export interface AuthorityKeysOptions {
  readonly clock: Clock;
  readonly clusterName: string;
  /** Named in the certificate of the SPIFFE CA; default the cluster's name. */
  readonly trustDomain?: string;
  readonly backendName: string;
  readonly backend: KeyBackend;
  /** Of SSH keys; default `ed25519`. Those for X.509 and tokens are P-256. */
  readonly sshAlgorithm?: KeyAlgorithm;
}

/** Makes keys for authorities. They count only once their rows are stored. */
export class AuthorityKeyMaker {
  constructor(private readonly options: AuthorityKeysOptions) {}

  /** Where it makes them. */
  get backendName(): string {
    return this.options.backendName;
  }

  /**
   * The keys of an authority, which belong together; when one cannot be made, none is left behind.
   * @throws {MezError} `KEY_BACKEND_UNAVAILABLE`
   */
  async makeSet(authority: AuthorityType, generation: number, state: KeyState): Promise<readonly AuthorityKeyRow[]> {
    const keys: AuthorityKeyRow[] = [];
    try {
      for (const usage of AUTHORITIES[authority].keys) keys.push(await this.#generate(authority, generation, usage, state));
      for (const key of keys) if (key.usage === "x509") key.certificate = await this.#certify(key);
      return keys;
    } catch (error) {
      await this.destroy(keys);
      throw error;
    }
  }

  async destroy(keys: readonly AuthorityKeyRow[]): Promise<void> {
    for (const { handle } of keys) await this.options.backend.destroy(handle);
  }

  async #generate(authority: AuthorityType, generation: number, usage: KeyUsage, state: KeyState): Promise<AuthorityKeyRow> {
    const { backend, backendName, clock, sshAlgorithm = "ed25519" } = this.options;
    const { handle, publicKeyDer } = await backend.generate(usage === "ssh" ? sshAlgorithm : "ecdsa-p256");
    return {
      ...{ id: randomUUID(), authority, generation, usage, backend: backendName, handle, certificate: null, state },
      publicKey: publicKeyDer.toString("base64"),
      createdAt: clock.now(),
    };
  }

  /** Self-signed, PEM. */
  async #certify(key: AuthorityKeyRow): Promise<string> {
    const { backend, clock, clusterName, trustDomain = clusterName } = this.options;
    const publicKeyDer = Buffer.from(key.publicKey, "base64");
    const name = distinguishedName(authorityName(clusterName, key.authority));
    const notAfter = clock.now();
    notAfter.setUTCFullYear(notAfter.getUTCFullYear() + AUTHORITY_YEARS);
    const der = await signX509(
      {
        serial: randomX509Serial(),
        issuer: name,
        subject: name,
        subjectPublicKeyDer: publicKeyDer,
        notBefore: backdated(clock.now()),
        notAfter,
        extensions: authorityExtensions(
          keyIdentifier(publicKeyDer),
          key.authority === "spiffe" ? { uris: [`spiffe://${trustDomain}`] } : {},
        ),
      },
      { publicKeyDer, signsInProcess: false, sign: (data) => backend.sign(key.handle, data) },
    );
    return certificatePem(der);
  }
}
