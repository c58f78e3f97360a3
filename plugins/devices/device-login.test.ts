import assert from "node:assert/strict";
import { test } from "node:test";
import type { LoginStepOutcome } from "../../core/ports/login-step.js";
import { DeviceAnswer, DeviceChallenge } from "../../proto/gen/mezite/devices/v1/devices.js";
import { testLoginStep } from "../../test/contracts/login-step.js";
import { testUserData } from "../../test/contracts/user-data.js";
import { ADDRESS, DeviceWorld } from "../../test/fixtures/device-world.js";
import { refuses } from "../../test/fixtures/refuses.js";
import { DeviceRecord } from "./device-repository.js";

const inWorld = DeviceWorld.run;

testLoginStep("devices", async () => {
  const world = await DeviceWorld.open();
  const device = await world.enrol("alice");
  return {
    ...{ step: world.step, database: world.opened.database, free: "bob", refused: null },
    bound: {
      userName: "alice",
      answer: async (demand) => Buffer.from(DeviceAnswer.encode(device.answer(DeviceChallenge.decode(demand))).finish()),
    },
    close: () => world.opened.close(),
  };
});

testUserData("devices", async () => {
  const world = await DeviceWorld.open();
  const { database } = world.opened;
  return {
    ...{ userData: world.devices, database },
    keep: async (userName) => void (await world.enrol(userName)),
    kept: (userName) => database.read((em) => em.count(DeviceRecord, { userName })),
    close: () => world.opened.close(),
  };
});

test("a login asks those who have a device, and takes an answer once", () =>
  inWorld(async (world) => {
    assert.deepEqual(await world.logIn(null), { passed: {} });
    const device = await world.enrol("alice");
    const answer = device.answer(await world.demanded());
    const outcome = await world.logIn(answer);
    assert.ok("passed" in outcome);
    assert.deepEqual([outcome.device, outcome.passed], [device.id, { device: device.id, device_assurance: "file" }]);
    assert.match(await refuses(world.logIn(answer), "DEVICE_REFUSED"), /was used before/);
  }));

test("of logins that bring the same answer at once, one is let in", () =>
  inWorld(async (world) => {
    const device = await world.enrol("alice");
    const answer = device.answer(await world.demanded());
    const results = await Promise.allSettled(Array.from({ length: 5 }, () => world.logIn(answer)));
    assert.equal(results.filter(({ status }) => status === "fulfilled").length, 1);
  }));

test("whoever shows no device goes on without one", () =>
  inWorld(async (world) => {
    await world.enrol("alice");
    assert.deepEqual(await world.logIn(DeviceAnswer.fromPartial({})), { passed: {} });
  }));

test("a challenge is answered by whom it was put to, from where it was put, and in time", () =>
  inWorld(async (world) => {
    const [alice, bob] = [await world.enrol("alice"), await world.enrol("bob")];
    const challenge = await world.demanded();
    await refuses(world.logIn(alice.answer(challenge), { clientAddress: "192.0.2.99" }), "DEVICE_REFUSED");
    await refuses(world.logIn(bob.answer(challenge), { userName: "bob" }), "DEVICE_REFUSED");
    await refuses(world.logIn(alice.answer({ ...challenge, challenge: Buffer.alloc(32, 7) })), "DEVICE_REFUSED");
    world.later(601);
    await refuses(world.logIn(alice.answer(challenge)), "DEVICE_REFUSED");
    assert.equal(await world.devices.sweep(), 1);
  }));

for (const [what, change] of [
  ["another cluster", { clusterName: "other" }],
  ["another user", { userName: "bob" }],
  ["a certificate", { purpose: "certificate" }],
  ["an enrolment", { purpose: "enrolment" }],
  ["another server", { authority: Buffer.alloc(32, 9) }],
] as const)
  test(`a signature that was made for ${what} does not do`, () =>
    inWorld(async (world) => {
      const device = await world.enrol("alice");
      const challenge = await world.demanded();
      const { signature } = device.answer({ ...challenge, ...change });
      const said = await refuses(world.logIn({ ...device.answer(challenge), signature }), "DEVICE_REFUSED");
      assert.equal(
        said,
        "what device laptop signed is of another key than the one that was enrolled, or was meant for another server",
      );
    }));

test("during a rotation of the Host CA a signature for either of its keys does", () =>
  inWorld(async (world) => {
    const device = await world.enrol("alice");
    const [former, next] = [Buffer.alloc(32, 3), Buffer.alloc(32, 4)];
    world.hostAuthorities = [next, former];
    for (const authority of [former, next]) {
      const outcome = await world.logIn(device.answer({ ...(await world.demanded()), authority }));
      assert.equal("passed" in outcome && outcome.device, device.id);
    }
    world.hostAuthorities = [next];
    await refuses(world.logIn(device.answer({ ...(await world.demanded()), authority: former })), "DEVICE_REFUSED");
  }));

test("somebody else's device, or one that was removed, is none; a revoked one is refused", () =>
  inWorld(async (world) => {
    const [alice, bob] = [await world.enrol("alice"), await world.enrol("bob")];
    const borrowed = await world.logIn({ ...bob.answer(await world.demanded()) });
    assert.deepEqual("passed" in borrowed && [borrowed.passed, borrowed.device], [{ device_unknown: true }, undefined]);
    await world.devices.revoke(alice.id, { userName: "admin", clientIp: ADDRESS });
    const challenge = await world.demanded();
    const said = await refuses(world.logIn(alice.answer(challenge)), "DEVICE_REFUSED");
    assert.equal(said, "device laptop was revoked by an administrator");
    assert.ok(world.opened.audits.some(({ type, resourceName }) => type === "device.auth.failed" && resourceName === alice.id));
  }));

test("a device that is too weak for the cluster by now is none", () =>
  inWorld(async (world) => {
    const device = await world.enrol("alice");
    world.counting = "tpm";
    const outcome = await world.logIn(device.answer(await world.demanded()));
    assert.deepEqual("passed" in outcome && [outcome.passed, outcome.device], [{ device_too_weak: device.id }, undefined]);
  }));

test("a certificate is signed for by the device of the login, for these keys in this login alone", () =>
  inWorld(async (world) => {
    const [device, other] = [await world.enrol("alice"), await world.enrol("alice", "desk")];
    assert.deepEqual(await world.order(null, { device: null }), { passed: {} });
    const challenge = demandOf(await world.order(null, { device: device.id }));
    assert.equal(challenge.purpose, "certificate");
    const answer = device.answer(challenge);
    const outcome = await world.order(answer, { device: device.id });
    assert.ok("passed" in outcome);
    assert.equal(outcome.device, device.id);
    await refuses(world.order(answer, { device: device.id, publicKey: "another key" }), "DEVICE_REFUSED");
    await refuses(world.order(answer, { device: device.id, sessionId: "another login" }), "DEVICE_REFUSED");
    await refuses(world.order(other.answer(challenge), { device: device.id }), "DEVICE_REFUSED");
    await refuses(world.order(DeviceAnswer.fromPartial({}), { device: device.id }), "DEVICE_REFUSED");
    await world.devices.revoke(device.id, { userName: "admin", clientIp: ADDRESS });
    await refuses(world.order(answer, { device: device.id }), "DEVICE_REFUSED");
  }));

function demandOf(outcome: LoginStepOutcome): DeviceChallenge {
  assert.ok("demand" in outcome);
  return DeviceChallenge.decode(outcome.demand);
}
