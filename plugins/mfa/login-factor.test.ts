import assert from "node:assert/strict";
import { test } from "node:test";
import { FactorKind, LoginAnswer, LoginDemand } from "../../proto/gen/mezite/mfa/v1/mfa.js";
import { testLoginStep } from "../../test/contracts/login-step.js";
import { testUserData } from "../../test/contracts/user-data.js";
import { ADDRESS, MfaWorld } from "../../test/fixtures/mfa-world.js";
import { refuses } from "../../test/fixtures/refuses.js";
import { CeremonyRecord } from "./ceremony-repository.js";
import { FactorRecord } from "./factor-repository.js";
import { RecoveryCodeRecord } from "./recovery-code-repository.js";

const inWorld = MfaWorld.run;

testLoginStep("mfa", async () => {
  const world = await MfaWorld.open();
  const { secret } = await world.addTotp("alice");
  return {
    ...{ step: world.step, database: world.opened.database, free: "bob", refused: null },
    bound: {
      userName: "alice",
      answer: async (demand) => {
        const holder = LoginDemand.decode(demand).ceremony?.holder ?? "";
        world.later(30);
        await world.codes.answer(holder, world.code(secret), world.call());
        return Buffer.from(LoginAnswer.encode({ holder }).finish());
      },
    },
    close: () => world.opened.close(),
  };
});

testUserData("mfa", async () => {
  const world = await MfaWorld.open();
  const { database } = world.opened;
  return {
    ...{ userData: world.factors, database },
    keep: async (userName) => void (await world.addTotp(userName)),
    kept: (userName) =>
      database.read(
        async (em) => (await em.count(FactorRecord, { userName })) + (await em.count(RecoveryCodeRecord, { userName })),
      ),
    close: () => world.opened.close(),
  };
});

test("a login asks those who have a factor, and takes a code once", () =>
  inWorld(async (world) => {
    assert.deepEqual(await world.logIn(null), { passed: {} });
    const { secret } = await world.addTotp();
    const { holder, kinds, link } = await world.demanded();
    assert.deepEqual([kinds, link], [[FactorKind.FACTOR_KIND_TOTP, FactorKind.FACTOR_KIND_RECOVERY_CODE], ""]);
    await refuses(world.logIn(holder), "MFA_EXPIRED");
    await world.codes.answer(holder, world.code(secret), world.call());
    const outcome = await world.logIn(holder);
    assert.ok("passed" in outcome);
    assert.deepEqual(outcome.passed, { second_factor: "totp" });
    await refuses(world.logIn(holder), "MFA_EXPIRED");
  }));

test("a code that was used is refused everywhere, and so is an earlier one", () =>
  inWorld(async (world) => {
    const { secret } = await world.addTotp();
    const before = world.code(secret);
    world.later(30);
    const [first, second] = [await world.demanded(), await world.demanded()];
    const code = world.code(secret);
    await world.codes.answer(first.holder, code, world.call());
    for (const used of [code, before])
      assert.equal(
        await refuses(world.codes.answer(second.holder, used, world.call()), "MFA_REFUSED"),
        "this code was used already; wait for the next one",
      );
    assert.deepEqual(world.audited(1), ["user.mfa.failed: this code was used already; wait for the next one"]);
    const proof = await world.sessions.begin("alice", ADDRESS, "totp");
    await refuses(world.codes.answer(proof.opened.holder.expose(), code, world.proxy()), "MFA_REFUSED");
  }));

test("of two who send the same code at once, one is let in", () =>
  inWorld(async (world) => {
    const { secret } = await world.addTotp();
    const ceremonies = await Promise.all(Array.from({ length: 5 }, () => world.demanded()));
    const code = world.code(secret);
    const results = await Promise.allSettled(ceremonies.map(({ holder }) => world.codes.answer(holder, code, world.call())));
    assert.deepEqual(results.filter(({ status }) => status === "fulfilled").length, 1);
  }));

test("the step before and after the present one are taken, those beyond are not", () =>
  inWorld(async (world) => {
    const { secret } = await world.addTotp();
    world.later(300);
    for (const [seconds, isTaken] of [
      [-60, false],
      [60, false],
      [-30, true],
      [30, true],
    ] as const) {
      const { holder } = await world.demanded();
      world.later(seconds);
      const code = world.code(secret);
      world.later(-seconds);
      const answer = world.codes.answer(holder, code, world.call());
      if (isTaken) await answer;
      else await refuses(answer, "MFA_REFUSED");
    }
  }));

test("a ceremony ends after five wrong codes, and guessing is slowed down for the user", () =>
  inWorld(async (world) => {
    const { secret } = await world.addTotp();
    const { holder } = await world.demanded();
    world.later(3600);
    const again = await world.demanded();
    await refuses(world.codes.answer(holder, "000000", world.call()), "MFA_EXPIRED");
    for (const wrong of ["000000", "1234567", "12345", "abcd-efgh-jkmn-pqrs", "'; drop"])
      await refuses(world.codes.answer(again.holder, wrong, world.call()), "MFA_REFUSED");
    await refuses(world.codes.answer(again.holder, world.code(secret), world.call()), "MFA_EXPIRED");
    const next = await world.demanded();
    await refuses(world.codes.answer(next.holder, world.code(secret), world.call()), "TOO_MANY_ATTEMPTS");
    world.later(2);
    await world.codes.answer(next.holder, world.code(secret), world.call());
  }));

test("an empty answer is no guess: it is refused, and neither ends the ceremony nor slows the user down", () =>
  inWorld(async (world) => {
    const { secret } = await world.addTotp();
    const { holder } = await world.demanded();
    for (let round = 0; round < 10; round++) await refuses(world.codes.answer(holder, " ", world.call()), "MFA_REFUSED");
    await world.codes.answer(holder, world.code(secret), world.call());
    assert.ok("passed" in (await world.logIn(holder)));
  }));

test("a proof is good for its person, its client and its purpose only", () =>
  inWorld(async (world) => {
    const { secret } = await world.addTotp();
    await world.addTotp("bob");
    const { holder } = await world.demanded();
    await refuses(world.codes.answer(holder, world.code(secret), world.call(undefined, "198.51.100.1")), "MFA_EXPIRED");
    await world.codes.answer(holder, world.code(secret), world.call());
    await refuses(world.logIn(holder, { userName: "bob" }), "MFA_EXPIRED");
    await refuses(world.logIn(holder, { clientAddress: "198.51.100.1" }), "MFA_EXPIRED");
    await refuses(world.factors.remove("authenticator-app", holder, world.person()), "MFA_EXPIRED");
    await refuses(world.sessions.use(holder, world.proxy()), "MFA_EXPIRED");
    assert.ok("passed" in (await world.logIn(holder)));
  }));

test("a proof runs out, and what has run out is removed", () =>
  inWorld(async (world) => {
    const { secret } = await world.addTotp();
    const { holder } = await world.demanded();
    await world.codes.answer(holder, world.code(secret), world.call());
    world.later(300);
    await refuses(world.logIn(holder), "MFA_EXPIRED");
    world.later(600);
    assert.ok((await world.ceremonies.sweep()) > 0);
    assert.equal(await world.opened.database.read((em) => em.count(CeremonyRecord, {})), 0);
  }));

test("a factor that is removed in the middle of a login opens nothing", () =>
  inWorld(async (world) => {
    const { secret } = await world.addTotp();
    const { holder } = await world.demanded();
    await world.codes.answer(holder, world.code(secret), world.call());
    const [factor] = (await world.factors.list("alice")).factors;
    await world.opened.database.transaction(({ em }) => em.nativeDelete(FactorRecord, { id: factor!.id }));
    assert.equal(await refuses(world.logIn(holder), "MFA_EXPIRED"), "the second factor was removed meanwhile; begin again");
  }));

test("an administrator's reset ends what is under way", () =>
  inWorld(async (world) => {
    const { secret } = await world.addTotp();
    const { holder } = await world.demanded();
    await world.codes.answer(holder, world.code(secret), world.call());
    assert.equal(await world.factors.reset("alice", "totp", world.person("bob")), 1);
    await refuses(world.logIn(holder), "MFA_EXPIRED");
    assert.deepEqual(await world.factors.list("alice"), { factors: [], recoveryCodes: 0 });
  }));

test("recovery codes work once each, for logins, and can be replaced", () =>
  inWorld(async (world) => {
    const { secret, recoveryCodes } = await world.addTotp();
    assert.equal(new Set(recoveryCodes).size, 10);
    const first = recoveryCodes[0]!;
    const [one, two] = [await world.demanded(), await world.demanded()];
    const typed = first.replaceAll("-", " ").toUpperCase();
    assert.deepEqual(await world.codes.answer(one.holder, typed, world.call()), { kind: "recovery_code", recoveryCodesLeft: 9 });
    assert.ok("passed" in (await world.logIn(one.holder)));
    await refuses(world.codes.answer(two.holder, first, world.call()), "MFA_REFUSED");
    const proof = await world.factors.beginProof(world.person());
    await world.codes.answer(proof!.holder.expose(), world.code(secret), world.call());
    await world.factors.replaceRecoveryCodes(proof!.holder.expose(), world.person());
    await refuses(world.codes.answer(two.holder, recoveryCodes[1]!, world.call()), "MFA_REFUSED");
  }));

test("where everybody needs a factor, the first login adds one", () =>
  inWorld(async (world) => {
    world.mode = "required";
    const { holder, mustEnrol, kinds } = await world.demanded();
    assert.deepEqual([mustEnrol, kinds], [true, []]);
    await refuses(world.logIn(holder), "MFA_EXPIRED");
    const by = { token: "holder", secret: holder } as const;
    const { secret } = await world.enrolment.beginTotp(by, world.call());
    await refuses(world.enrolment.finishTotp(by, "000000", "", world.call()), "MFA_REFUSED");
    const { factor, recoveryCodes } = await world.enrolment.finishTotp(by, world.code(secret.expose()), "phone", world.call());
    assert.deepEqual([factor.name, recoveryCodes.length], ["phone", 10]);
    assert.ok("passed" in (await world.logIn(holder)));
  }));

test("of two first logins at once, the second adds no factor beside the first", () =>
  inWorld(async (world) => {
    world.mode = "required";
    const tokens = [(await world.demanded()).holder, (await world.demanded()).holder];
    const [one, two] = await Promise.all(
      tokens.map(async (secret) => {
        const by = { token: "holder", secret } as const;
        return { by, secret: (await world.enrolment.beginTotp(by, world.call())).secret.expose() };
      }),
    );
    await world.enrolment.finishTotp(one!.by, world.code(one!.secret), "", world.call());
    await refuses(world.enrolment.finishTotp(two!.by, world.code(two!.secret), "", world.call()), "MFA_EXPIRED");
  }));

test("a login of somebody with a factor cannot add another instead of proving it", () =>
  inWorld(async (world) => {
    await world.addTotp();
    const { holder } = await world.demanded();
    await refuses(world.enrolment.beginTotp({ token: "holder", secret: holder }, world.call()), "ACCESS_DENIED");
  }));

test("switched off, a login asks nobody", () =>
  inWorld(async (world) => {
    await world.addTotp();
    world.mode = "off";
    assert.deepEqual(await world.logIn(null), { passed: {} });
  }));
