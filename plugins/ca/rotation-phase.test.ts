import assert from "node:assert/strict";
import { test } from "node:test";
import type { RotationPhase } from "./api.js";
import { droppedBy, isUnderWay, ROTATION_PHASES, signerIn } from "./rotation-phase.js";

const WALK: readonly RotationPhase[] = ["init", "update-clients", "update-servers", "standby", "complete"];

for (const [phase, user, host, trusted, next, previous] of [
  ["none", "old", "old", ["old"], null, null],
  ["init", "old", "old", ["old", "new"], "update-clients", "none"],
  ["update-clients", "new", "old", ["old", "new"], "update-servers", "init"],
  ["update-servers", "new", "new", ["old", "new"], "standby", "update-clients"],
  ["standby", "new", "new", ["old", "new"], "complete", "update-servers"],
  ["complete", "new", "new", ["new"], null, null],
] as const) {
  test(`in ${phase}: ${user} keys sign users, ${host} keys sign hosts, ${trusted.join(" and ")} are trusted`, () => {
    assert.deepEqual([signerIn(phase, "user"), signerIn(phase, "host")], [user, host]);
    assert.deepEqual(ROTATION_PHASES[phase].trusted, trusted);
    assert.deepEqual([ROTATION_PHASES[phase].next, ROTATION_PHASES[phase].previous], [next, previous]);
    assert.equal(isUnderWay(phase), trusted.length === 2);
  });
}

test("goes from init to complete in the order of the reference", () => {
  const seen: RotationPhase[] = ["init"];
  for (let next = ROTATION_PHASES.init.next; next !== null; next = ROTATION_PHASES[next].next) seen.push(next);
  assert.deepEqual(seen, WALK);
});

test("signs with nothing that was not trusted in the phase before, or will not be in the one behind it", () => {
  for (const [phase, { next, previous }] of Object.entries(ROTATION_PHASES)) {
    for (const neighbour of [next, previous]) {
      if (neighbour === null) continue;
      for (const type of ["user", "host"] as const)
        assert.ok(
          ROTATION_PHASES[neighbour].trusted.includes(signerIn(phase as RotationPhase, type)),
          `${phase} -> ${neighbour}`,
        );
    }
  }
});

for (const [from, to, dropped] of [
  ["standby", "complete", "old"],
  ["init", "none", "new"],
  ["init", "update-clients", null],
  ["update-servers", "update-clients", null],
] as const) {
  test(`${from} to ${to} drops ${dropped ?? "no"} keys`, () => assert.equal(droppedBy(from, to), dropped));
}
