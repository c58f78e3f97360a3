import assert from "node:assert/strict";
import test from "node:test";
import { isMezError } from "../../core/errors/error.js";
import { grantTtl } from "./ttl.js";

const CASES: readonly (readonly [what: string, requested: number, roleCap: number | null, ttl: number, notice: string])[] = [
  ["the default", 0, null, 43_200, ""],
  ["what is asked for", 3600, null, 3600, ""],
  ["the longest", 86_400, null, 86_400, ""],
  ["more than the longest", 90_000, null, 86_400, "shortened from 1d1h to 1d: the longest that is allowed"],
  ["the default under a role's cap", 0, 3600, 3600, ""],
  ["more than a role's cap", 7200, 3600, 3600, "shortened from 2h to 1h: max_session_ttl of your roles"],
  ["a role's cap above the longest", 200_000, 172_800, 86_400, "shortened from 2d7h33m20s to 1d: the longest that is allowed"],
];

for (const [what, requested, roleCap, ttlSeconds, notice] of CASES) {
  test(`grants ${what}`, () => assert.deepEqual(grantTtl(requested, 43_200, roleCap), { ttlSeconds, notice }));
}

for (const requested of [-1, 1.5, Number.NaN]) {
  test(`refuses ${requested} s`, () => {
    assert.throws(
      () => grantTtl(requested, 43_200, null),
      (error) => isMezError(error, "INVALID_ARGUMENT"),
    );
  });
}
