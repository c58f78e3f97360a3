import assert from "node:assert/strict";
import test from "node:test";
import type { AccessGrant } from "./api.js";
import { LiveGrants } from "./live-grants.js";

const NOW = new Date("2026-03-01T12:00:00Z");
const OWN = ["developer"];
const [SOON, LATER] = ["2026-03-01T13:00:00Z", "2026-03-01T14:00:00Z"];

for (const [what, grants, roles, until] of [
  ["none", [], OWN, null],
  ["a role", [{ roles: ["production"], until: SOON }], ["developer", "production"], SOON],
  [
    "two roles",
    [
      { roles: ["b"], until: LATER },
      { roles: ["a"], until: SOON },
    ],
    ["developer", "b", "a"],
    SOON,
  ],
  ["a single node, which adds no role", [{ nodes: ["db-01"], until: SOON }], OWN, null],
  [
    "a node, and a role that ends later",
    [
      { nodes: ["db-01"], until: SOON },
      { roles: ["a"], until: LATER },
    ],
    ["developer", "a"],
    LATER,
  ],
  ["a role that the person has anyway", [{ roles: ["developer"], until: SOON }], OWN, null],
  ["a role whose time is over", [{ roles: ["production"], until: "2026-03-01T12:00:00Z" }], OWN, null],
] as const satisfies readonly (readonly [string, readonly Partial<AccessGrant>[], readonly string[], string | null])[]) {
  test(`what a person holds with grants of ${what}`, () => {
    const held = grantsOf(grants).holdings("alice", OWN);
    assert.deepEqual([held.roles, held.until], [roles, until === null ? null : new Date(until)]);
  });
}

function grantsOf(grants: readonly Partial<AccessGrant>[]): LiveGrants {
  const entries = grants.map((grant): AccessGrant => ({ user: "alice", roles: [], nodes: [], until: SOON, ...grant }));
  return new LiveGrants({ values: () => entries, onChange: () => () => undefined }, { now: () => NOW });
}
