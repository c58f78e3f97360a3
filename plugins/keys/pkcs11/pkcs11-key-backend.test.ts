import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, before, describe, type TestContext, test } from "node:test";
import pkcs11 from "pkcs11js";
import { isMezError } from "../../../core/errors/error.js";
import { Secret } from "../../../core/plugin/secret.js";
import { testKeyBackend } from "../../../test/contracts/key-backend.js";
import { silentLogger } from "../../../test/fixtures/silent-logger.js";
import { needsPeers } from "../../../test/peers/require-peer.js";
import { makeSoftHsm, type SoftHsm } from "../../../test/peers/softhsm.js";
import { isSignedBy } from "./elliptic-key.js";
import { parseKeyUri } from "./key-uri.js";
import { Pkcs11KeyBackend } from "./pkcs11-key-backend.js";
import { SessionPool, type TokenSettings } from "./session-pool.js";

const PIN = "correct-horse-4711";
const DATA = randomBytes(64);

describe("keys in tokens of SoftHSM", needsPeers("softhsm2-util", "libsofthsm2"), () => {
  let hsm: SoftHsm;
  before(() => {
    hsm = makeSoftHsm({ ca: PIN, other: "2222", "the third": "3333" });
  });
  after(() => hsm.close());

  testKeyBackend("pkcs11 with SoftHSM", async () => {
    const pools: SessionPool[] = [];
    const open = async (): Promise<Pkcs11KeyBackend> => {
      const pool = new SessionPool(settingsOf(hsm), silentLogger);
      pools.push(pool);
      await pool.start();
      return new Pkcs11KeyBackend([pool]);
    };
    return {
      backend: await open(),
      reopen: open,
      close: async () => {
        for (const pool of pools) await pool.close(1_000);
      },
    };
  });

  for (const algorithm of ["ed25519", "ecdsa-p256"] as const) {
    test(`an ${algorithm} key stays in the token and cannot be taken out`, async (t) => {
      const { backend } = await opened(t, hsm);
      const { handle } = await backend.generate(algorithm);
      const { library, session, find } = lookInside(hsm, "ca", PIN);
      const [key, ...others] = find(pkcs11.CKO_PRIVATE_KEY, handle);
      assert.ok(key !== undefined && others.length === 0);
      const flags = [
        [pkcs11.CKA_TOKEN, 1],
        [pkcs11.CKA_PRIVATE, 1],
        [pkcs11.CKA_SENSITIVE, 1],
        [pkcs11.CKA_ALWAYS_SENSITIVE, 1],
        [pkcs11.CKA_EXTRACTABLE, 0],
        [pkcs11.CKA_NEVER_EXTRACTABLE, 1],
        [pkcs11.CKA_LOCAL, 1],
      ] as const;
      for (const [type, expected] of flags)
        assert.deepEqual(library.C_GetAttributeValue(session, key, [{ type }])[0]?.value, Buffer.of(expected), String(type));
      assert.throws(() => library.C_GetAttributeValue(session, key, [{ type: pkcs11.CKA_VALUE }]));
      await backend.destroy(handle);
      assert.deepEqual([...find(pkcs11.CKO_PRIVATE_KEY, handle), ...find(pkcs11.CKO_PUBLIC_KEY, handle)], []);
    });
  }

  test("signs on when all sessions are lost, and logs in again", async (t) => {
    const { backend } = await opened(t, hsm);
    const { handle, publicKeyDer } = await backend.generate("ed25519");
    const { closeAll } = lookInside(hsm, "ca", PIN);
    for (let round = 0; round < 3; round += 1) {
      closeAll();
      const signatures = await Promise.all(Array.from({ length: 24 }, () => backend.sign(handle, DATA)));
      for (const signature of signatures) assert.ok(isSignedBy("ed25519", publicKeyDer, DATA, signature));
    }
    closeAll();
    assert.equal((await backend.generate("ecdsa-p256")).algorithm, "ecdsa-p256");
    closeAll();
    await backend.destroy(handle);
    await assert.rejects(backend.sign(handle, DATA), (error) => isMezError(error, "NOT_FOUND"));
  });

  test("signs on when somebody has logged the process out", async (t) => {
    const { backend } = await opened(t, hsm);
    const { handle, publicKeyDer } = await backend.generate("ecdsa-p256");
    const { library, session } = lookInside(hsm, "ca", PIN);
    library.C_Logout(session);
    assert.ok(isSignedBy("ecdsa-p256", publicKeyDer, DATA, await backend.sign(handle, DATA)));
  });

  test("finds tokens by their labels, whatever slot they are in", async (t) => {
    const first = await opened(t, hsm, { label: "other", pin: new Secret("2222") });
    const second = await opened(t, hsm, { label: "the third", pin: new Secret("3333") });
    const [one, two] = [await first.backend.generate("ed25519"), await second.backend.generate("ed25519")];
    assert.match(one.handle, /^pkcs11:token=other;id=(%[0-9a-f]{2}){16};type=private$/);
    assert.match(two.handle, /^pkcs11:token=the%20third;/);
    assert.deepEqual(parseKeyUri(two.handle)?.token, "the third");
    await assert.rejects(first.backend.sign(two.handle, DATA), /is in token "the third", which the configuration does not name/);
    const both = new Pkcs11KeyBackend([first.pool, second.pool]);
    for (const { handle, publicKeyDer } of [one, two])
      assert.ok(isSignedBy("ed25519", publicKeyDer, DATA, await both.sign(handle, DATA)));
    assert.match((await both.generate("ed25519")).handle, /token=other;/);
  });

  test("starts without the token, and says which there are", async (t) => {
    const { backend } = await opened(t, hsm, { label: "gone" });
    await assert.rejects(
      backend.generate("ed25519"),
      (error) => isMezError(error, "KEY_BACKEND_UNAVAILABLE") && /no token "gone"; it shows .*"the third"/.test(error.message),
    );
  });

  test("tries a wrong PIN once, and never shows it", async (t) => {
    const pool = new SessionPool(settingsOf(hsm, { pin: new Secret("wrong-pin-1") }), silentLogger);
    t.after(() => pool.close(1_000));
    const isRefusal = (error: unknown) =>
      isMezError(error, "KEY_BACKEND_REFUSED") && /CKR_PIN_INCORRECT/.test(error.message) && !/wrong-pin-1/.test(error.message);
    await assert.rejects(pool.start(), isRefusal);
    const attempts = Array.from({ length: 20 }, () => new Pkcs11KeyBackend([pool]).generate("ed25519"));
    for (const { status } of await Promise.allSettled(attempts)) assert.equal(status, "rejected");
    await assert.rejects(new Pkcs11KeyBackend([pool]).generate("ed25519"), isRefusal);
  });

  test("refuses a label that two tokens have", async (t) => {
    hsm.addToken("twice", PIN);
    hsm.addToken("twice", PIN);
    const pool = new SessionPool(settingsOf(hsm, { label: "twice" }), silentLogger);
    t.after(() => pool.close(1_000));
    await assert.rejects(pool.start(), /the module shows 2 tokens "twice"/);
  });

  test("refuses a module that is none", async (t) => {
    const pool = new SessionPool(settingsOf(hsm, { module: process.execPath }), silentLogger);
    t.after(() => pool.close(1_000));
    await assert.rejects(pool.start(), (error) => isMezError(error, "KEY_BACKEND_REFUSED"));
  });
});

// --- internal ---

function settingsOf({ module }: SoftHsm, other: Partial<TokenSettings> = {}): TokenSettings {
  return { module, label: "ca", pin: new Secret(PIN), sessions: 4, timeoutMs: 20_000, ...other };
}

async function opened(t: TestContext, hsm: SoftHsm, other: Partial<TokenSettings> = {}) {
  const pool = new SessionPool(settingsOf(hsm, other), silentLogger);
  t.after(() => pool.close(1_000));
  await pool.start();
  return { pool, backend: new Pkcs11KeyBackend([pool]) };
}

/** What another part of this process sees of a token: PKCS #11 takes all of the process for one application. */
function lookInside({ module }: SoftHsm, label: string, pin: string) {
  const library = new pkcs11.PKCS11();
  library.load(module);
  const slot = library.C_GetSlotList(true).find((each) => library.C_GetTokenInfo(each).label.trimEnd() === label);
  assert.ok(slot !== undefined);
  const session = library.C_OpenSession(slot, pkcs11.CKF_SERIAL_SESSION | pkcs11.CKF_RW_SESSION);
  try {
    library.C_Login(session, pkcs11.CKU_USER, pin);
  } catch (error) {
    assert.match(String(error), /CKR_USER_ALREADY_LOGGED_IN/);
  }
  return {
    library,
    session,
    find(kind: number, handle: string) {
      const id = Buffer.from(parseKeyUri(handle)?.id ?? "", "hex");
      library.C_FindObjectsInit(session, [
        { type: pkcs11.CKA_CLASS, value: kind },
        { type: pkcs11.CKA_ID, value: id },
      ]);
      const found = library.C_FindObjects(session, 5);
      library.C_FindObjectsFinal(session);
      return found;
    },
    closeAll: () => library.C_CloseAllSessions(slot),
  };
}
