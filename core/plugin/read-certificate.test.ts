import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { test } from "node:test";
import { testAuthority } from "../../test/fixtures/tls.js";
import { keepRead, readCertificate } from "./read-certificate.js";

test("gives what was read of these bytes once, and reads them otherwise", async () => {
  const authority = await testAuthority();
  const [own, other] = await Promise.all(
    ["web-01", "web-02"].map(async (name) => new X509Certificate((await authority.issue(name)).certificatePem)),
  );
  assert.ok(own !== undefined && other !== undefined);
  const der = own.raw;
  keepRead(der, own);
  assert.equal(readCertificate(other.raw).subject, "CN=web-02");
  assert.equal(readCertificate(Buffer.from(der)).subject, "CN=web-01");
  assert.equal(readCertificate(der), own);
  assert.notEqual(readCertificate(der), own);
  assert.equal(readCertificate(der).subject, "CN=web-01");
  assert.throws(() => readCertificate(Buffer.from("no certificate")));
});
