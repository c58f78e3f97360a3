import "reflect-metadata";
import { generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import * as x509 from "@peculiar/x509";
import { MezError } from "../../core/errors/error.js";
import type { Clock } from "../../core/time/clock.js";
import type {
  IssuedJwtSvid,
  IssuedX509Svid,
  SvidOrder,
  WorkloadIssuer,
} from "../../daemons/identity/workload-api/workload-issuer.js";
import type { WorkloadSource } from "../../daemons/identity/workload-api/workload-watch.js";
import type { WorkloadSnapshot } from "../../proto/gen/mezite/workload_identities/v1/workload_identities.js";

export type FakeEntry = WorkloadSnapshot["entries"][number];

/** An auth service that signs SVIDs for the trust domain `example.test`, with keys of its own. */
export class FakeWorkloadAuthority implements WorkloadIssuer, WorkloadSource {
  entries: FakeEntry[] = [];
  /** Every call fails with it while it is set. */
  failure: MezError | null = null;
  ttlSeconds = 3600;
  /** Names of the entries that SVIDs were issued for. */
  readonly issued: string[] = [];
  readonly reports: number[] = [];
  readonly #keys: Authority[] = [];
  readonly #watchers = new Set<() => void>();
  #sequence = 0;

  private constructor(private readonly clock: Clock) {}

  static async make(clock: Clock): Promise<FakeWorkloadAuthority> {
    const authority = new FakeWorkloadAuthority(clock);
    await authority.rotate();
    return authority;
  }

  /** An entry for the given selectors; what is not given matches anything. */
  entry(name: string, unix: Partial<NonNullable<FakeEntry["unix"]>>, more: Partial<FakeEntry> = {}): FakeEntry {
    return {
      ...{ name, revision: "1", spiffeId: `spiffe://example.test/${name}`, hint: "" },
      unix: { uids: [], gids: [], paths: [], sha256: [], ...unix },
      ...{ x509TtlSeconds: this.ttlSeconds, jwtTtlSeconds: 300, ...more },
    };
  }

  get snapshot(): WorkloadSnapshot {
    const keys = this.#keys.map(({ keyId, publicKey }) => ({
      ...publicKey.export({ format: "jwk" }),
      kid: keyId,
      use: "jwt-svid",
    }));
    return {
      trustDomain: "example.test",
      entries: this.entries,
      bundle: {
        sequence: this.#sequence,
        x509Authorities: this.#keys.map(({ certificate }) => Buffer.from(certificate.rawData)),
        jwtAuthorities: this.#keys.map(({ keyId, publicKey }) => ({
          keyId,
          publicKey: publicKey.export({ format: "der", type: "spki" }),
        })),
        refreshHintSeconds: 60,
        bundleJson: "",
        jwksJson: JSON.stringify({ keys }),
      },
    };
  }

  /** A new key signs from now on; the one before is trusted until `forget`. */
  async rotate(): Promise<void> {
    const sequence = this.#sequence + 1;
    this.#keys.unshift(await makeAuthority(`spiffe-${sequence}`));
    this.#sequence = sequence;
    this.changed();
  }

  /** Only the key that signs is trusted. */
  forget(): void {
    this.#keys.splice(1);
    this.#sequence += 1;
    this.changed();
  }

  /** Sends watchers what counts now. */
  changed(): void {
    for (const wake of this.#watchers) wake();
  }

  async *watch(signal: AbortSignal): AsyncIterable<WorkloadSnapshot | null> {
    while (!signal.aborted) {
      let wake = (): void => {};
      const woken = new Promise<void>((resolve) => {
        wake = resolve;
      });
      this.#watchers.add(wake);
      signal.addEventListener("abort", wake);
      this.#mayFail();
      yield this.snapshot;
      await woken;
      this.#watchers.delete(wake);
    }
  }

  async report(sequence: number): Promise<void> {
    this.reports.push(sequence);
  }

  async issueX509(
    orders: readonly (SvidOrder & { readonly publicKey: Buffer })[],
  ): Promise<readonly (IssuedX509Svid | MezError)[]> {
    this.#mayFail();
    return Promise.all(
      orders.map(async ({ entry, publicKey }) => {
        const found = this.entries.find(({ name }) => name === entry.name);
        if (found === undefined) return new MezError("NOT_FOUND", `no workload identity ${entry.name}`);
        if (found.revision !== entry.revision) return new MezError("CONFLICT", "another revision");
        this.issued.push(entry.name);
        const expiresAt = this.#expiry(this.ttlSeconds);
        return {
          spiffeId: found.spiffeId,
          expiresAt,
          certificateChain: await issue(this.#signing, found.spiffeId, publicKey, expiresAt),
        };
      }),
    );
  }

  async issueJwt({ entry }: SvidOrder, audiences: readonly string[]): Promise<IssuedJwtSvid> {
    this.#mayFail();
    this.issued.push(`${entry.name} for ${audiences.join(",")}`);
    const expiresAt = this.#expiry(300);
    const { spiffeId } = entry;
    return { spiffeId, expiresAt, token: this.token({ sub: spiffeId, aud: audiences, exp: expiresAt.getTime() / 1000 }) };
  }

  /** A JWT of any claims under the key that signs. */
  token(claims: Readonly<Record<string, unknown>>, header: Readonly<Record<string, unknown>> = {}): string {
    const { keyId, privateKey } = this.#signing;
    const parts = [{ alg: "ES256", kid: keyId, typ: "JWT", ...header }, claims];
    const signed = parts.map((part) => Buffer.from(JSON.stringify(part)).toString("base64url")).join(".");
    const signature = sign("sha256", Buffer.from(signed), { key: privateKey, dsaEncoding: "ieee-p1363" });
    return `${signed}.${signature.toString("base64url")}`;
  }

  get #signing(): Authority {
    return this.#keys[0] as Authority;
  }

  #expiry(seconds: number): Date {
    return new Date(Math.floor(this.clock.now().getTime() / 1000) * 1000 + seconds * 1000);
  }

  #mayFail(): void {
    if (this.failure !== null) throw this.failure;
  }
}

// --- internal ---

interface Authority {
  readonly keyId: string;
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
  readonly signingKey: CryptoKey;
  readonly certificate: x509.X509Certificate;
}

const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;

async function makeAuthority(keyId: string): Promise<Authority> {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const signingKey = await crypto.subtle.importKey(
    "pkcs8",
    privateKey.export({ format: "der", type: "pkcs8" }),
    ALGORITHM,
    true,
    ["sign"],
  );
  const verifyingKey = await webKey(publicKey.export({ format: "der", type: "spki" }));
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: `CN=${keyId}`,
    keys: { privateKey: signingKey, publicKey: verifyingKey },
    notBefore: new Date(0),
    notAfter: new Date("2049-01-01"),
    signingAlgorithm: ALGORITHM,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      new x509.SubjectAlternativeNameExtension([{ type: "url", value: "spiffe://example.test" }]),
    ],
  });
  return { keyId, privateKey, publicKey, signingKey, certificate };
}

async function issue(
  { certificate, signingKey }: Authority,
  spiffeId: string,
  publicKey: Buffer,
  notAfter: Date,
): Promise<Buffer> {
  const leaf = await x509.X509CertificateGenerator.create({
    subject: "O=SPIFFE",
    issuer: certificate.subject,
    publicKey: await webKey(publicKey),
    signingKey,
    notBefore: new Date(0),
    notAfter,
    signingAlgorithm: ALGORITHM,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.SubjectAlternativeNameExtension([{ type: "url", value: spiffeId }], true),
    ],
  });
  return Buffer.from(leaf.rawData);
}

function webKey(spki: Buffer): Promise<CryptoKey> {
  return crypto.subtle.importKey("spki", Uint8Array.from(spki), ALGORITHM, true, ["verify"]);
}
