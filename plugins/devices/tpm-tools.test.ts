import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createPublicKey, generateKeyPairSync, randomBytes, sign } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { needsPeers } from "../../test/peers/require-peer.js";
import { type RunningSwtpm, startSwtpm } from "../../test/peers/swtpm.js";
import { backdated, randomX509Serial } from "../ca/validity.js";
import { certificatePem, distinguishedName, keyIdentifier, signX509, type X509Signer } from "../ca/x509-certificate.js";
import { authorityExtensions, leafExtensions } from "../ca/x509-extensions.js";
import { publicKeyDer } from "./device.js";
import { makeCredential } from "./tpm-credential.js";
import { TpmTrust } from "./tpm-evidence.js";
import { parseTpmPublic } from "./tpm-public.js";
import { TpmTools } from "./tpm-tools.js";

const RSA_CERTIFICATE = "0x01c00002";
const ECC_CERTIFICATE = "0x01c0000a";

describe("a TPM whose maker certified", needsPeers("swtpm", "swtpm_setup", "tpm2_create"), () => {
  let tpm: RunningSwtpm;
  let folder: string;

  before(async () => {
    tpm = await startSwtpm();
    folder = mkdtempSync(join(tmpdir(), "mezite-tpm-test-"));
  });
  after(async () => {
    await tpm.close();
    rmSync(folder, { recursive: true, force: true });
  });

  test("its RSA endorsement key opens what is made for it and the device's key, and for no other", async () => {
    await proves("rsa", readFileSync(tpm.makerFile, "utf8"));
  });

  test("its ECC endorsement key alone does the same", async () => {
    run("tpm2_nvundefine", ["-C", "p", RSA_CERTIFICATE]);
    run("tpm2_createek", ["-c", join(folder, "ek.ctx"), "-G", "ecc", "-u", join(folder, "ek.pub")]);
    run("tpm2_flushcontext", ["-t"]);
    const { key } = parseTpmPublic(readFileSync(join(folder, "ek.pub")).subarray(2));
    const { makerPem, certificate } = await certified(publicKeyDer(key));
    writeFileSync(join(folder, "ek.der"), certificate);
    const attributes = "ownerread|ownerwrite|authread|authwrite";
    run("tpm2_nvdefine", ["-C", "o", "-s", String(certificate.length), "-a", attributes, ECC_CERTIFICATE]);
    run("tpm2_nvwrite", ["-C", "o", "-i", join(folder, "ek.der"), ECC_CERTIFICATE]);
    await proves("ecc-p256", makerPem);
  });

  /** Whether the server believes the TPM, and the TPM opens what the server makes for it. */
  async function proves(kind: "rsa" | "ecc-p256", makerPem: string): Promise<void> {
    const trust = new TpmTrust(makerPem, { now: () => new Date() });
    await TpmTools.with({ ...process.env, ...tpm.environment }, async (tools) => {
      const [key, other] = [await tools.createKey(), await tools.createKey()];
      const endorsement = await tools.endorsement();
      const evidence = { endorsementPublic: endorsement.public.subarray(2), endorsementCertificate: endorsement.certificate };
      const found = trust.check({ keyPublic: key.public.subarray(2), ...evidence });
      assert.deepEqual([found.assurance, found.endorsement.kind], ["tpm", kind]);
      const secret = randomBytes(32);
      const { credential, credentialSecret } = makeCredential(found.endorsement, found.name, secret);
      assert.deepEqual(await tools.activate(key, credential, credentialSecret), secret);
      await assert.rejects(tools.activate(other, credential, credentialSecret), { code: "DEVICE_KEY_UNUSABLE" });
    });
  }

  function run(program: string, args: readonly string[]): void {
    execFileSync(program, ["-Q", ...args], { env: { ...process.env, ...tpm.environment }, stdio: "pipe" });
  }
});

// --- internal ---

/** A maker, and the certificate that it made for an endorsement key. */
async function certified(publicKey: Buffer): Promise<{ readonly makerPem: string; readonly certificate: Buffer }> {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const makerKey = publicKeyDer(createPublicKey(privateKey));
  const signer: X509Signer = {
    publicKeyDer: makerKey,
    signsInProcess: true,
    sign: async (data) => sign("sha256", data, { key: privateKey, dsaEncoding: "ieee-p1363" }),
  };
  const [issuer, keyId, now] = [distinguishedName("Test TPM Maker"), keyIdentifier(makerKey), new Date()];
  const dates = { notBefore: backdated(now), notAfter: new Date(now.getTime() + 3_600_000) };
  const common = { issuer, ...dates };
  const maker = { ...common, serial: randomX509Serial(), subject: issuer, subjectPublicKeyDer: makerKey };
  const leaf = { ...common, serial: randomX509Serial(), subject: distinguishedName("TPM"), subjectPublicKeyDer: publicKey };
  const extensions = leafExtensions({}, "client", keyIdentifier(publicKey), keyId);
  return {
    makerPem: certificatePem(await signX509({ ...maker, extensions: authorityExtensions(keyId) }, signer)),
    certificate: await signX509({ ...leaf, extensions }, signer),
  };
}
