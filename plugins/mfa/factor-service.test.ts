import assert from "node:assert/strict";
import { test } from "node:test";
import { MfaWorld } from "../../test/fixtures/mfa-world.js";
import { refuses } from "../../test/fixtures/refuses.js";
import { CeremonyRecord } from "./ceremony-repository.js";
import { FactorRecord } from "./factor-repository.js";
import { RecoveryCodeRecord } from "./recovery-code-repository.js";

const inWorld = MfaWorld.run;

async function prove(world: MfaWorld, secret: string): Promise<string> {
  const proof = await world.factors.beginProof(world.person());
  assert.ok(proof);
  await world.codes.answer(proof.holder.expose(), world.code(secret), world.call());
  world.later(30);
  return proof.holder.expose();
}

test("neither secrets nor recovery codes stand in the database or the audit log", () =>
  inWorld(async (world) => {
    const { secret, recoveryCodes } = await world.addTotp();
    const link = await world.factors.createLink("alice", world.person("bob"));
    const rows = await world.opened.database.read(async (em) => [
      await em.find(FactorRecord, {}),
      await em.find(RecoveryCodeRecord, {}),
      await em.find(CeremonyRecord, {}),
    ]);
    const text = JSON.stringify([rows, world.opened.audits]);
    for (const hidden of [secret, ...recoveryCodes, link.link.expose(), link.holder.expose()])
      assert.ok(!text.includes(hidden) && !text.includes(Buffer.from(hidden).toString("base64")));
  }));

test("adding, removing and new recovery codes need a proof once there is a factor", () =>
  inWorld(async (world) => {
    assert.equal(await world.factors.beginProof(world.person()), null);
    const { secret } = await world.addTotp();
    await refuses(world.factors.beginEnrolment("", "", world.person()), "MFA_REQUIRED");
    await refuses(world.factors.remove("authenticator-app", "", world.person()), "MFA_REQUIRED");
    await refuses(world.factors.replaceRecoveryCodes("", world.person()), "MFA_REQUIRED");
    await refuses(world.factors.beginEnrolment("x".repeat(43), "", world.person()), "MFA_EXPIRED");
    const proof = await prove(world, secret);
    const { recoveryCodes } = await world.addTotp("alice", proof);
    assert.deepEqual(recoveryCodes, []);
    await refuses(world.factors.beginEnrolment(proof, "", world.person()), "MFA_EXPIRED");
    const names = (await world.factors.list("alice")).factors.map(({ name }) => name);
    assert.deepEqual(names, ["authenticator-app", "authenticator-app-2"]);
  }));

test("what began without a proof, or with one of a factor that was removed, adds none any more", () =>
  inWorld(async (world) => {
    const enrolling = async (proof: string) => {
      const { holder } = await world.factors.beginEnrolment(proof, "", world.person());
      return { token: "holder", secret: holder.expose() } as const;
    };
    const early = await enrolling("");
    const pending = await world.enrolment.beginTotp(early, world.call());
    const link = await world.factors.createLink("alice", world.person("bob"));
    const { secret } = await world.addTotp();
    const code = world.code(pending.secret.expose());
    await refuses(world.enrolment.finishTotp(early, code, "", world.call()), "MFA_EXPIRED");
    const [stolen, own] = [await prove(world, secret), await prove(world, secret)];
    const late = await enrolling(stolen);
    await world.factors.remove("authenticator-app", own, world.person());
    await refuses(world.enrolment.beginTotp(late, world.call()), "MFA_EXPIRED");
    await world.enrolment.beginTotp({ token: "link", secret: link.link.expose() }, world.proxy());
  }));

test("the last factor stays where everybody needs one, and goes with its recovery codes where not", () =>
  inWorld(async (world) => {
    const { secret } = await world.addTotp();
    const proof = await prove(world, secret);
    world.mode = "required";
    await refuses(world.factors.remove("authenticator-app", proof, world.person()), "LAST_FACTOR");
    world.mode = "optional";
    await refuses(world.factors.remove("phone", proof, world.person()), "FACTOR_NOT_FOUND");
    await world.factors.remove("authenticator-app", proof, world.person());
    assert.deepEqual(await world.factors.list("alice"), { factors: [], recoveryCodes: 0 });
    assert.deepEqual(world.audited(1), ["user.mfa.removed"]);
  }));

test("a link of an administrator works once, at a proxy, for an hour", () =>
  inWorld(async (world) => {
    const { link, holder } = await world.factors.createLink("alice", world.person("bob"));
    const by = { token: "link", secret: link.expose() } as const;
    await refuses(world.enrolment.beginTotp(by, world.call()), "MFA_EXPIRED");
    await refuses(world.enrolment.beginTotp({ token: "holder", secret: holder.expose() }, world.call()), "MFA_EXPIRED");
    world.later(3599);
    const { secret } = await world.enrolment.beginTotp(by, world.proxy());
    await world.enrolment.finishTotp(by, world.code(secret.expose()), "", world.proxy());
    assert.equal(
      await refuses(world.enrolment.beginTotp(by, world.proxy()), "MFA_EXPIRED"),
      "this link was used already, or has run out; begin again",
    );
    const late = await world.factors.createLink("alice", world.person("bob"));
    world.later(3600);
    await refuses(world.enrolment.beginTotp({ token: "link", secret: late.link.expose() }, world.proxy()), "MFA_EXPIRED");
  }));

for (const name of [" ", "-x", "a".repeat(65), "a\nb", "<script>"]) {
  test(`a factor is not called ${JSON.stringify(name)}`, () =>
    inWorld(async (world) => {
      const { link } = await world.factors.createLink("alice", world.person("bob"));
      const by = { token: "link", secret: link.expose() } as const;
      const { secret } = await world.enrolment.beginTotp(by, world.proxy());
      const finish = world.enrolment.finishTotp(by, world.code(secret.expose()), name, world.proxy());
      if (name.trim() === "") assert.equal((await finish).factor.name, "authenticator-app");
      else await refuses(finish, "INVALID_ARGUMENT");
    }));
}

test("nobody gets more than ten factors", () =>
  inWorld(async (world) => {
    let { secret } = await world.addTotp();
    for (let count = 1; count < 10; count++) secret = (await world.addTotp("alice", await prove(world, secret))).secret;
    await refuses(world.factors.beginEnrolment(await prove(world, secret), "", world.person()), "LIMIT_EXCEEDED");
  }));

test("unknown users and factors are named", () =>
  inWorld(async (world) => {
    await refuses(world.factors.list("ghost"), "USER_NOT_FOUND");
    await refuses(world.factors.createLink("ghost", world.person("bob")), "USER_NOT_FOUND");
    await refuses(world.factors.reset("alice", "webauthn", world.person("bob")), "FACTOR_NOT_FOUND");
  }));

test("a deleted user leaves no factor to a new one of the same name", () =>
  inWorld(async (world) => {
    await world.addTotp();
    const opened = await world.factors.beginProof(world.person());
    await world.opened.database.transaction((tx) => world.factors.forget(tx, "alice"));
    assert.deepEqual(await world.factors.list("alice"), { factors: [], recoveryCodes: 0 });
    await refuses(world.ceremonies.wait(opened!.holder.expose(), world.call()), "MFA_EXPIRED");
  }));

test("waiting ends when the ceremony is done", () =>
  inWorld(async (world) => {
    const { secret } = await world.addTotp();
    const { holder, id } = await world.factors.beginProof(world.person()).then((opened) => ({
      holder: opened!.holder.expose(),
      id: opened!.ceremony.id,
    }));
    const waiting = world.ceremonies.wait(holder, world.call());
    await world.codes.answer(holder, world.code(secret), world.call());
    world.ceremonies.wake({ id });
    assert.equal(await waiting, "totp");
    await refuses(world.ceremonies.wait("x", world.call()), "MFA_EXPIRED");
  }));

test("waiting ends when the end may have been missed", (t) =>
  inWorld(async (world) => {
    const { secret } = await world.addTotp();
    const opened = await world.factors.beginProof(world.person());
    t.mock.timers.enable({ apis: ["setTimeout"] });
    const waiting = world.ceremonies.wait(opened!.holder.expose(), world.call());
    await world.codes.answer(opened!.holder.expose(), world.code(secret), world.call());
    world.ceremonies.wakeAll();
    assert.equal(await waiting, "totp");
    await refuses(world.ceremonies.wait("x", world.call()), "MFA_EXPIRED");
  }));

test("waiting looks again by itself, so that an auth server that never hears of the end tells it as well", (t) =>
  inWorld(async (world) => {
    const { secret } = await world.addTotp();
    const opened = await world.factors.beginProof(world.person());
    t.mock.timers.enable({ apis: ["setTimeout"] });
    const waiting = world.ceremonies.wait(opened!.holder.expose(), world.call());
    await world.codes.answer(opened!.holder.expose(), world.code(secret), world.call());
    t.mock.timers.tick(10_000);
    assert.equal(await waiting, "totp");
  }));
