import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { before, test } from "node:test";
import { testAuthority } from "../../test/fixtures/tls.js";
import { renewalDelayMs } from "./renewal-schedule.js";

let certificatePem: string;
let begin: number;
let expiresAt: Date;
before(async () => {
  certificatePem = (await (await testAuthority()).issue("web-01")).certificatePem;
  const leaf = new X509Certificate(certificatePem);
  begin = leaf.validFromDate.getTime();
  expiresAt = leaf.validToDate;
});

for (const [random, share] of [
  [0, 2 / 3],
  [1, 2 / 3 - 0.1],
] as const) {
  test(`with ${random} for chance, renews after ${share.toFixed(2)} of the life`, () => {
    const life = expiresAt.getTime() - begin;
    assert.equal(Math.round(renewalDelayMs({ certificatePem, expiresAt }, new Date(begin), random)), Math.round(life * share));
  });
}

test("renews at once what should have been renewed", () => {
  assert.equal(renewalDelayMs({ certificatePem, expiresAt }, expiresAt), 0);
});
