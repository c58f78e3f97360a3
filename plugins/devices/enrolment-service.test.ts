import assert from "node:assert/strict";
import { test } from "node:test";
import { authorFor, DeviceWorld, TestDevice } from "../../test/fixtures/device-world.js";
import { refuses } from "../../test/fixtures/refuses.js";

const inWorld = DeviceWorld.run;

test("a token enrols one device of one user, also when two come at once", () =>
  inWorld(async (world) => {
    const token = await world.token("alice");
    await refuses(world.enrolWith(token, new TestDevice("bob")), "ENROLMENT_REFUSED");
    const results = await Promise.allSettled(
      ["one", "two", "three"].map((name) => world.enrolWith(token, new TestDevice("alice"), name)),
    );
    assert.equal(results.filter(({ status }) => status === "fulfilled").length, 1);
    assert.equal((await world.devices.list()).length, 1);
    assert.equal(world.opened.puts.length, 1);
    await refuses(world.enrolWith(token, new TestDevice("alice"), "late"), "ENROLMENT_REFUSED");
  }));

test("a token ends, and goes with its user", () =>
  inWorld(async (world) => {
    const token = await world.token("alice");
    world.later(3_601);
    await refuses(world.enrolWith(token, new TestDevice("alice")), "ENROLMENT_REFUSED");
    const next = await world.token("alice");
    await world.opened.database.transaction((tx) => world.devices.forget(tx, "alice"));
    await refuses(world.enrolWith(next, new TestDevice("alice")), "ENROLMENT_REFUSED");
  }));

test("without a token nothing is enrolled, unless the cluster lets everybody", () =>
  inWorld(async (world) => {
    const said = await refuses(world.enrolWith("", new TestDevice("alice")), "ENROLMENT_REFUSED");
    assert.match(said, /mezctl devices add --user=alice/);
    assert.ok(world.opened.audits.some(({ type, success }) => type === "device.enrolment.failed" && !success));
    world.selfEnrolment = true;
    await world.enrolWith("", new TestDevice("alice"));
  }));

test("who does not have the key does not enrol it, and the token stays good", () =>
  inWorld(async (world) => {
    const token = await world.token("alice");
    const [device, other] = [new TestDevice("alice"), new TestDevice("alice")];
    const { challenge } = await world.enrolment.begin(token, { publicKey: device.publicKey, tpm: null }, authorFor("alice"));
    const signature = other.sign("enrolment", challenge);
    const proof = { challenge, signature, name: "laptop", activated: Buffer.alloc(0) };
    await refuses(world.enrolment.finish(proof, authorFor("alice")), "DEVICE_REFUSED");
    await refuses(world.enrolment.finish({ ...proof, signature: Buffer.alloc(0) }, authorFor("alice")), "DEVICE_REFUSED");
    await world.enrolWith(token, device);
  }));

test("a key is enrolled once, a name once for each person, and a person has so many devices", () =>
  inWorld(async (world) => {
    world.selfEnrolment = true;
    const device = new TestDevice("alice");
    await world.enrolWith("", device, "laptop");
    await refuses(world.enrolWith("", device, "again"), "ALREADY_EXISTS");
    await refuses(world.enrolWith("", new TestDevice("alice"), "laptop"), "ALREADY_EXISTS");
    await world.enrolWith("", new TestDevice("bob"), "laptop");
    await world.enrolWith("", new TestDevice("alice"), "desk");
    await refuses(world.enrolWith("", new TestDevice("alice"), "third"), "LIMIT_EXCEEDED");
  }));

for (const [what, bytes] of [
  ["nothing", Buffer.alloc(0)],
  ["no key", Buffer.from("key")],
  ["a key with bytes behind it", Buffer.concat([new TestDevice("alice").publicKey, Buffer.alloc(1)])],
] as const)
  test(`refuses ${what} as the key of a device`, () =>
    inWorld(async (world) => {
      const token = await world.token("alice");
      await refuses(world.enrolment.begin(token, { publicKey: bytes, tpm: null }, authorFor("alice")), "INVALID_ARGUMENT");
    }));

for (const name of ["", " ", "-x", "a\nb", "x".repeat(65), "a/b"])
  test(`refuses ${JSON.stringify(name)} as the name of a device`, () =>
    inWorld(async (world) => {
      await refuses(world.enrolWith(await world.token("alice"), new TestDevice("alice"), name), "INVALID_ARGUMENT");
    }));

test("revoking twice is said once, and rm takes what is published away", () =>
  inWorld(async (world) => {
    const { id } = await world.enrol("alice");
    const admin = authorFor("admin");
    await world.devices.revoke(id, admin);
    await world.devices.revoke(id, admin);
    assert.equal(world.opened.audits.filter(({ type }) => type === "device.revoked").length, 1);
    assert.deepEqual(await world.devices.entries(), [[id, { user: "alice", name: "laptop", isRevoked: true }]]);
    await world.devices.delete(id, admin);
    assert.deepEqual(world.opened.removes.at(-1)?.key, id);
    await refuses(world.devices.revoke(id, admin), "DEVICE_NOT_FOUND");
  }));
