import assert from "node:assert/strict";
import { test } from "node:test";
import { isMezError } from "../../core/errors/error.js";
import { isExpired, parseLockTarget, planLock, sentenceFor, targetsOf } from "./lock.js";

const ALICE = { type: "user", name: "alice" } as const;
const NOW = new Date("2026-03-01T12:00:00Z");

for (const [type, name, message] of [
  ["", "alice", /^a lock needs a target; use one of user, role, agent, agent_identity, agent_identity_instance, device$/],
  ["person", "alice", /^lock target type "person" is unknown; use one of user/],
  ["constructor", "alice", /"constructor" is unknown/],
  ["user", "", /^user "" cannot be locked; a name has 1 to 128 characters and no spaces$/],
  ["role", "a b", /^role "a b" cannot be locked/],
  ["agent", "x\u0000", /^agent "x\?" cannot be locked/],
  ["device", "d".repeat(129), /^device "d{64}" cannot be locked/],
] as const) {
  test(`refuses target ${JSON.stringify(type)} ${JSON.stringify(name.slice(0, 10))}`, () => {
    assert.throws(
      () => parseLockTarget(type, name),
      (error) => isMezError(error, "INVALID_ARGUMENT") && message.test(error.message),
    );
  });
}

for (const [message, ttlSeconds, complaint] of [
  ["", -1, /-1 seconds; use up to 3650d/],
  ["", 1.5, /1.5 seconds/],
  ["", 3_650 * 86_400 + 1, /use up to 3650d, or none/],
  ["m".repeat(257), 0, /one line of at most 256 characters/],
  ["two\nlines", 0, /one line/],
  ["\u001b[2J", 0, /one line/],
] as const) {
  test(`refuses message ${JSON.stringify(message.slice(0, 10))} with ${ttlSeconds} seconds`, () => {
    assert.throws(
      () => planLock(ALICE, message, ttlSeconds),
      (error) => isMezError(error, "INVALID_ARGUMENT") && complaint.test(error.message),
    );
  });
}

test("a lock without a time to live has no end", () => {
  assert.deepEqual(planLock(ALICE, " review ", 0), { target: ALICE, message: "review", ttlSeconds: null });
  assert.equal(planLock(ALICE, "", 60).ttlSeconds, 60);
});

for (const [expiresAt, expired] of [
  [null, false],
  ["2026-03-01T12:00:01Z", false],
  ["2026-03-01T12:00:00Z", true],
  ["2026-03-01T11:59:59Z", true],
] as const) {
  test(`at noon a lock until ${expiresAt} is ${expired ? "" : "not "}expired`, () => {
    assert.equal(isExpired({ expiresAt }, NOW), expired);
    assert.equal(isExpired({ expiresAt: expiresAt === null ? null : new Date(expiresAt) }, NOW), expired);
  });
}

test("names everything that a subject is", () => {
  const subject = {
    user: "alice",
    roles: ["dev", "ops"],
    agent: "web-01",
    agentIdentity: "ci-bot",
    instance: "7f3a",
    device: "laptop",
  };
  assert.deepEqual(
    targetsOf(subject).map(({ type, name }) => `${type} ${name}`),
    [
      "user alice",
      "role dev",
      "role ops",
      "agent web-01",
      "agent_identity ci-bot",
      "agent_identity_instance 7f3a",
      "device laptop",
    ],
  );
  assert.deepEqual(targetsOf({ user: "", agent: "" }), []);
});

for (const [target, message, sentence] of [
  [ALICE, "Security review", "user alice is locked: Security review"],
  [ALICE, "", "user alice is locked by an administrator"],
  [{ type: "agent_identity", name: "ci-bot" }, "", "agent identity ci-bot is locked by an administrator"],
] as const) {
  test(`tells the person: ${sentence}`, () => assert.equal(sentenceFor({ target, message }), sentence));
}
