import { execFileSync } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { Secret } from "../../core/plugin/secret.js";
import { publicKeyOf } from "../../core/ssh/public-key.js";
import { systemClock } from "../../core/time/clock.js";
import { AuthorityEntity, AuthorityKeyEntity } from "../../plugins/ca/authority-repository.js";
import { createMissingAuthorities } from "../../plugins/ca/authority-setup.js";
import { KeyBackedAuthorities } from "../../plugins/ca/certificate-authorities.js";
import { CreateCertificateAuthorities } from "../../plugins/ca/migrations/20260101000000-certificate-authorities.js";
import { KeyProtection } from "../../plugins/keys/software/key-protection.js";
import { CreateSoftwareKeys } from "../../plugins/keys/software/migrations/20260101000000-software-keys.js";
import { SoftwareKeyBackend } from "../../plugins/keys/software/software-key-backend.js";
import { KeyProtectionEntity, SoftwareKeyEntity } from "../../plugins/keys/software/software-key-repository.js";
import { openTestDatabase } from "../fixtures/database.js";
import { silentLogger } from "../fixtures/silent-logger.js";
import { median } from "./statistics.js";

/** Certificates per second, medians of the rounds of one run. */
export interface CertificateRates {
  /** SSH user certificates by the `ca` plugin over a software key, in process. */
  readonly userCertificates: number;
  /** X.509 leaf certificates by the Host CA, in process. */
  readonly hostX509: number;
  /** `ssh-keygen -s`, a process for each. */
  readonly sshKeygen: number;
}

/** Measures issuing beside `ssh-keygen -s`, the rounds of each interleaved. */
export async function measureCertificateRates(rounds = 5, perRound = 3000): Promise<CertificateRates> {
  const folder = await mkdtemp(join(tmpdir(), "mezite-bench-"));
  const opened = await openTestDatabase({
    entities: [KeyProtectionEntity, SoftwareKeyEntity, AuthorityEntity, AuthorityKeyEntity],
    migrations: [
      { name: "20260101000000-software-keys", class: CreateSoftwareKeys },
      { name: "20260101000000-certificate-authorities", class: CreateCertificateAuthorities },
    ],
  });
  try {
    const { database } = opened;
    const backend = new SoftwareKeyBackend(
      database,
      new KeyProtection(database, { passphrase: new Secret("bench"), keyFile: join(folder, "ca.key") }),
      systemClock,
    );
    await createMissingAuthorities({ database, clock: systemClock, clusterName: "bench", backendName: "software", backend });
    const authorities = new KeyBackedAuthorities({
      database,
      clock: systemClock,
      logger: silentLogger,
      clusterName: "bench",
      backendOf: () => backend,
    });
    await authorities.load();
    const rates = { userCertificates: [] as number[], hostX509: [] as number[], sshKeygen: [] as number[] };
    const sshKeys = Array.from({ length: perRound }, () => publicKeyOf(generateKeyPairSync("ed25519").publicKey).blob);
    const x509Keys = Array.from({ length: perRound / 3 }, () =>
      generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey.export({ format: "der", type: "spki" }),
    );
    const signByProcess = await sshKeygen(folder);
    for (let round = 0; round < rounds; round++) {
      rates.userCertificates.push(
        await perSecond(sshKeys, (publicKeyBlob) =>
          authorities.issueUserCertificate({
            publicKeyBlob,
            keyId: "eve",
            principals: ["deploy", "root"],
            ttlSeconds: 43_200,
            extensions: { "permit-pty": "", "permit-port-forwarding": "", "roles@mezite": '["access"]' },
          }),
        ),
      );
      rates.hostX509.push(
        await perSecond(x509Keys, (publicKeyDer) =>
          authorities.issueHostX509({
            publicKeyDer,
            commonName: "web-01",
            organization: "mezite:role:node",
            dnsNames: ["web-01", "web-01.bench"],
            uris: ["mezite://bench/agent/1"],
            ttlSeconds: 86_400,
          }),
        ),
      );
      rates.sshKeygen.push(await perSecond(Array.from({ length: 40 }), async () => signByProcess()));
    }
    return {
      userCertificates: median(rates.userCertificates),
      hostX509: median(rates.hostX509),
      sshKeygen: median(rates.sshKeygen),
    };
  } finally {
    await opened.close();
    await rm(folder, { recursive: true });
  }
}

// --- internal ---

async function sshKeygen(folder: string): Promise<() => void> {
  for (const name of ["ca", "user"]) execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", join(folder, name)]);
  const words = ["-q", "-s", join(folder, "ca"), "-I", "eve", "-n", "deploy,root", "-V", "+12h", join(folder, "user.pub")];
  return () => void execFileSync("ssh-keygen", words, { stdio: "ignore" });
}

async function perSecond<Item>(items: readonly Item[], work: (item: Item) => Promise<unknown>): Promise<number> {
  const start = performance.now();
  for (const item of items) await work(item);
  return (items.length * 1000) / (performance.now() - start);
}
