import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { test } from "node:test";
import { isMezError } from "../../core/errors/error.js";
import { testAuthority } from "../../test/fixtures/tls.js";
import { readTrustReport, trustReportOf, writeTrustReport } from "./trust-report.js";

test("says what is trusted, and which CA signed the certificate in use", async () => {
  const [old, fresh] = [await testAuthority("Host CA"), await testAuthority("Host CA")];
  const { certificatePem: leaf } = await fresh.issue("web-01");
  const [oldPrint, freshPrint] = [old, fresh].map(({ certificatePem }) => new X509Certificate(certificatePem).fingerprint256);
  const copies = new Map([
    ["user", { sshPublicKeys: [], certificatesPem: [old.certificatePem] }],
    ["host", { sshPublicKeys: [], certificatesPem: [] }],
  ]);
  const report = trustReportOf({ certificatePem: leaf, trustPem: [old.certificatePem, fresh.certificatePem] }, copies);
  assert.deepEqual(report, {
    trusted: { user: [oldPrint], host: [oldPrint, freshPrint] },
    certificateAuthority: freshPrint,
  });
  assert.deepEqual(readTrustReport(writeTrustReport(report)), report);
  assert.equal(trustReportOf({ certificatePem: leaf, trustPem: [old.certificatePem] }, copies).certificateAuthority, "");
});

test("an agent that says nothing is told from one that trusts nothing", () => {
  assert.equal(readTrustReport(undefined), null);
  assert.deepEqual(readTrustReport({ trusted: [], certificateAuthority: "" }), { trusted: {}, certificateAuthority: "" });
});

const PRINT = Array(32).fill("AB").join(":");
for (const [what, message] of [
  ["a fingerprint that is none", { trusted: [], certificateAuthority: "sha256:ab" }],
  [
    "too many fingerprints",
    { trusted: [{ type: "host", fingerprints: Array(9).fill(PRINT) as string[] }], certificateAuthority: "" },
  ],
  ["too many types", { trusted: Array(9).fill({ type: "host", fingerprints: [] }), certificateAuthority: "" }],
  ["a type that is no word", { trusted: [{ type: "../host", fingerprints: [] }], certificateAuthority: "" }],
] as const) {
  test(`refuses ${what}`, () => {
    assert.throws(
      () => readTrustReport(message as never),
      (error) => isMezError(error, "INVALID_ARGUMENT"),
    );
  });
}
