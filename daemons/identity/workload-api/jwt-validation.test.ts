import assert from "node:assert/strict";
import { before, test } from "node:test";
import { isMezError } from "../../../core/errors/error.js";
import { FakeWorkloadAuthority } from "../../../test/fakes/workload-authority.js";
import { validateJwtSvid } from "./jwt-validation.js";
import { readSnapshot, type WorkloadDirectory } from "./workload-entry.js";

const NOW = Date.parse("2030-01-01T00:00:00Z");
const CLAIMS = { sub: "spiffe://example.test/web", aud: ["db", "queue"], exp: NOW / 1000 + 60 };
const clock = { now: () => new Date(NOW) };

let authority: FakeWorkloadAuthority;
let other: FakeWorkloadAuthority;
before(async () => {
  authority = await FakeWorkloadAuthority.make(clock);
  other = await FakeWorkloadAuthority.make(clock);
});

test("believes a token of the trust domain, also under the key before the one that signs", async () => {
  const token = authority.token({ ...CLAIMS, team: "a" });
  await authority.rotate();
  for (const audience of ["db", "queue"]) {
    const { spiffeId, claims } = await validate(token, audience);
    assert.equal(spiffeId, "spiffe://example.test/web");
    assert.deepEqual(claims, { ...CLAIMS, team: "a" });
  }
});

for (const [what, make, message] of [
  ["for another audience", () => authority.token({ ...CLAIMS, aud: ["mail"] }), /"aud"/],
  ["for no audience", () => authority.token({ sub: CLAIMS.sub, exp: CLAIMS.exp }), /"aud"/],
  ["that has expired", () => authority.token({ ...CLAIMS, exp: NOW / 1000 - 1 }), /"exp"/],
  ["that never expires", () => authority.token({ sub: CLAIMS.sub, aud: CLAIMS.aud }), /"exp"/],
  ["that is not good yet", () => authority.token({ ...CLAIMS, nbf: NOW / 1000 + 60 }), /"nbf"/],
  ["without a subject", () => authority.token({ aud: CLAIMS.aud, exp: CLAIMS.exp }), /"sub"/],
  [
    "of another trust domain",
    () => authority.token({ ...CLAIMS, sub: "spiffe://example.test.evil/web" }),
    /sub is not a SPIFFE ID/,
  ],
  ["of the trust domain itself", () => authority.token({ ...CLAIMS, sub: "spiffe://example.test" }), /sub is not a SPIFFE ID/],
  ["of another type", () => authority.token(CLAIMS, { typ: "at+jwt" }), /typ "at\+jwt"/],
  ["with another algorithm", () => authority.token(CLAIMS, { alg: "HS256" }), /"alg"/],
  ["without a signature", () => authority.token(CLAIMS, { alg: "none" }), /"alg"/],
  ["under an unknown key", () => authority.token(CLAIMS, { kid: "who" }), /no applicable key/],
  ["that another authority signed under the same key id", () => other.token(CLAIMS, { kid: "spiffe-1" }), /signature/],
  ["that is none", () => "not a token", /not valid/],
  ["that is empty", () => "", /not valid/],
] as const) {
  test(`refuses a token ${what}`, async () => {
    await assert.rejects(
      validate(make(), "db"),
      (error) => isMezError(error, "INVALID_ARGUMENT") && assertMatch(error.message, message),
    );
  });
}

test("refuses to look at a token without an audience", async () => {
  await assert.rejects(validate(authority.token({ ...CLAIMS, aud: [""] }), ""), (error) => isMezError(error, "INVALID_ARGUMENT"));
});

// --- internal ---

function validate(token: string, audience: string) {
  const directory: WorkloadDirectory = readSnapshot(authority.snapshot);
  return validateJwtSvid(token, audience, directory, clock);
}

function assertMatch(text: string, pattern: RegExp): true {
  assert.match(text, pattern);
  return true;
}
