import assert from "node:assert/strict";
import { test } from "node:test";
import { ADDRESS, MfaWorld } from "../../test/fixtures/mfa-world.js";
import { refuses } from "../../test/fixtures/refuses.js";
import { SoftwareAuthenticator } from "../../test/fixtures/software-authenticator.js";
import { FactorRecord } from "./factor-repository.js";
import { relyingParty } from "./webauthn.js";

const ORIGIN = "https://mezite.example.com:3080";
const PARTY = relyingParty(ORIGIN, "", "test");
const inWorld = MfaWorld.run;

async function addKey(
  world: MfaWorld,
  key = new SoftwareAuthenticator(PARTY.rpId, ORIGIN),
  userName = "alice",
  attachment: "cross-platform" | "platform" = "cross-platform",
): Promise<SoftwareAuthenticator> {
  const { link } = await world.factors.createLink(userName, world.person("bob"));
  const by = { token: "link", secret: link.expose() } as const;
  const options = await world.enrolment.beginWebAuthn(by, PARTY, world.proxy());
  await world.enrolment.finishWebAuthn(by, { json: key.create(options, attachment), name: "" }, PARTY, world.proxy());
  world.later(1);
  return key;
}

/** A login's holder and link. */
async function logIn(world: MfaWorld): Promise<{ readonly holder: string; readonly link: string }> {
  const { holder, link } = await world.demanded();
  return { holder, link: link.split("#")[1] ?? "" };
}

test("a key proves a login once, and its answer cannot be sent again", () =>
  inWorld(async (world) => {
    const key = await addKey(world);
    const { holder, link } = await logIn(world);
    const answer = key.get(await world.webAuthn.begin(link, PARTY, world.proxy()));
    await refuses(world.webAuthn.finish(link, answer, PARTY, world.call()), "MFA_EXPIRED");
    assert.equal(await world.webAuthn.finish(link, answer, PARTY, world.proxy()), "hardware_key");
    await refuses(world.webAuthn.finish(link, answer, PARTY, world.proxy()), "MFA_EXPIRED");
    assert.ok("passed" in (await world.logIn(holder)));
    const next = await logIn(world);
    await world.webAuthn.begin(next.link, PARTY, world.proxy());
    await refuses(world.webAuthn.finish(next.link, answer, PARTY, world.proxy()), "MFA_REFUSED");
    assert.match(String(world.opened.audits.at(-1)?.metadata?.["detail"]), /challenge/i);
  }));

test("of two answers to one challenge at once, one counts", () =>
  inWorld(async (world) => {
    const key = await addKey(world);
    const { link } = await logIn(world);
    const options = await world.webAuthn.begin(link, PARTY, world.proxy());
    const results = await Promise.allSettled(
      [key.get(options), key.get(options)].map((answer) => world.webAuthn.finish(link, answer, PARTY, world.proxy())),
    );
    assert.equal(results.filter(({ status }) => status === "fulfilled").length, 1);
  }));

for (const [counter, isTaken] of [
  [4, false],
  [3, false],
  [0, false],
  [5, true],
  [2 ** 32 - 2, true],
] as const) {
  test(`after counter 5, a key that says ${counter + 1} is ${isTaken ? "taken" : "refused and audited"}`, () =>
    inWorld(async (world) => {
      const key = await addKey(world);
      await world.opened.database.transaction(({ em }) => em.nativeUpdate(FactorRecord, { userName: "alice" }, { counter: 5 }));
      key.counter = counter;
      const { link } = await logIn(world);
      const answer = key.get(await world.webAuthn.begin(link, PARTY, world.proxy()));
      const finish = world.webAuthn.finish(link, answer, PARTY, world.proxy());
      if (isTaken) return void (await finish);
      assert.match(await refuses(finish, "MFA_REFUSED"), /the counter of this security key went back/);
      const { type, metadata } = world.opened.audits.at(-1)!;
      assert.deepEqual([type, metadata?.["counter"]], ["user.mfa.failed", counter + 1]);
    }));
}

test("an authenticator that counts nothing is taken", () =>
  inWorld(async (world) => {
    const key = await addKey(world);
    for (let round = 0; round < 2; round++) {
      const { link } = await logIn(world);
      key.counter = -1;
      await world.webAuthn.finish(link, key.get(await world.webAuthn.begin(link, PARTY, world.proxy())), PARTY, world.proxy());
    }
  }));

for (const [what, rpId, origin] of [
  ["another page", "mezite.example.com", "https://evil.example.com"],
  ["another port", "mezite.example.com", "https://mezite.example.com"],
  ["another domain's credential", "evil.example.com", ORIGIN],
] as const) {
  test(`an answer from ${what} is refused`, () =>
    inWorld(async (world) => {
      const key = new SoftwareAuthenticator(rpId, origin);
      await refuses(addKey(world, key), "MFA_REFUSED");
      assert.deepEqual((await world.factors.list("alice")).factors, []);
    }));
}

test("the key of another person proves nothing", () =>
  inWorld(async (world) => {
    await addKey(world);
    const other = await addKey(world, undefined, "bob");
    const { link } = await logIn(world);
    const answer = other.get(await world.webAuthn.begin(link, PARTY, world.proxy()));
    await refuses(world.webAuthn.finish(link, answer, PARTY, world.proxy()), "MFA_REFUSED");
  }));

test("a credential is enrolled once in the whole cluster", () =>
  inWorld(async (world) => {
    const key = await addKey(world);
    await refuses(addKey(world, key), "ALREADY_EXISTS");
    await refuses(addKey(world, key, "bob"), "ALREADY_EXISTS");
  }));

test("a passkey of the device is not a hardware key, and does not do for one", () =>
  inWorld(async (world) => {
    await addKey(world, undefined, "alice", "platform");
    assert.deepEqual(
      (await world.factors.list("alice")).factors.map(({ kind }) => kind),
      ["webauthn"],
    );
    await refuses(world.sessions.begin("alice", ADDRESS, "hardware_key"), "MFA_REQUIRED");
    const { opened } = await world.sessions.begin("alice", ADDRESS, "webauthn");
    await refuses(world.sessions.use(opened.holder.expose(), world.proxy()), "MFA_EXPIRED");
  }));

test("where a role demands a hardware key, a passkey of the same person is not even asked for", () =>
  inWorld(async (world) => {
    const passkey = await addKey(world, undefined, "alice", "platform");
    const key = await addKey(world);
    const { opened } = await world.sessions.begin("alice", ADDRESS, "hardware_key");
    const options = await world.webAuthn.begin(opened.link.expose(), PARTY, world.proxy());
    const { allowCredentials } = JSON.parse(options) as { allowCredentials: readonly { id: string }[] };
    assert.deepEqual(
      allowCredentials.map(({ id }) => id),
      [key.credentialId.toString("base64url")],
    );
    await refuses(world.webAuthn.finish(opened.link.expose(), passkey.get(options), PARTY, world.proxy()), "MFA_REFUSED");
    await world.webAuthn.finish(
      opened.link.expose(),
      key.get(await world.webAuthn.begin(opened.link.expose(), PARTY, world.proxy())),
      PARTY,
      world.proxy(),
    );
    assert.deepEqual(await world.sessions.use(opened.holder.expose(), world.proxy()), {
      userName: "alice",
      kind: "hardware_key",
    });
  }));

for (const [origin, rpId, isFine] of [
  ["https://mezite.example.com:3080", "", true],
  ["https://a.example.com", "example.com", true],
  ["https://example.com", "example.com", true],
  ["https://evilexample.com", "example.com", false],
  ["http://mezite.example.com", "", false],
  ["https://mezite.example.com/page", "", false],
  ["null", "", false],
] as const) {
  test(`a page at ${origin} ${isFine ? "is" : "is not"} one of ${rpId === "" ? "any domain" : rpId}`, () => {
    if (isFine) assert.equal(relyingParty(origin, rpId, "test").origin, origin);
    else assert.throws(() => relyingParty(origin, rpId, "test"));
  });
}
