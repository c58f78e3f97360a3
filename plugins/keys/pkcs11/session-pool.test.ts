import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, before, describe, type TestContext, test } from "node:test";
import { isMezError } from "../../../core/errors/error.js";
import { Secret } from "../../../core/plugin/secret.js";
import { silentLogger } from "../../../test/fixtures/silent-logger.js";
import { needsPeers } from "../../../test/peers/require-peer.js";
import { makeSlowToken, type SlowToken } from "../../../test/peers/slow-token.js";
import { makeSoftHsm, type SoftHsm } from "../../../test/peers/softhsm.js";
import { Pkcs11KeyBackend } from "./pkcs11-key-backend.js";
import { SessionPool } from "./session-pool.js";

const DATA = randomBytes(64);

describe("a token that is slow", needsPeers("softhsm2-util", "libsofthsm2", "cc"), () => {
  let hsm: SoftHsm;
  let slow: SlowToken;
  before(() => {
    hsm = makeSoftHsm({ ca: "1111" });
    slow = makeSlowToken(hsm, 20);
  });
  after(() => hsm.close());

  const poolOf = (t: TestContext, sessions: number, timeoutMs: number, pin = "1111"): SessionPool => {
    const settings = { module: slow.module, label: "ca", pin: new Secret(pin), sessions, timeoutMs };
    const pool = new SessionPool(settings, silentLogger);
    t.after(() => pool.close(2_000));
    return pool;
  };
  const opened = async (t: TestContext, sessions: number, timeoutMs: number): Promise<Pkcs11KeyBackend> => {
    const pool = poolOf(t, sessions, timeoutMs);
    await pool.start();
    return new Pkcs11KeyBackend([pool]);
  };

  test("does not stop the event loop", async (t) => {
    const backend = await opened(t, 2, 20_000);
    const { handle } = await backend.generate("ecdsa-p256");
    let isDone = false;
    let turns = 0;
    const count = (): void => {
      turns += 1;
      if (!isDone) setImmediate(count);
    };
    setImmediate(count);
    const signatures = await Promise.all(Array.from({ length: 10 }, () => backend.sign(handle, DATA)));
    isDone = true;
    assert.equal(signatures.length, 10);
    assert.ok(turns > 10, `${turns} turns of the event loop`);
  });

  test("is used with the sessions that it gives", async (t) => {
    slow.limitSessions(2);
    t.after(() => slow.limitSessions(null));
    const backend = await opened(t, 5, 20_000);
    const { handle } = await backend.generate("ed25519");
    const signatures = await Promise.all(Array.from({ length: 20 }, () => backend.sign(handle, DATA)));
    assert.ok(signatures.every(({ length }) => length === 64));
  });

  test("is not asked when the next wrong PIN would lock it", async (t) => {
    for (const [flags, words] of [
      [0x20000, /one more wrong PIN would lock token "ca"/],
      [0x40000, /the PIN of token "ca" is locked/],
    ] as const) {
      slow.addFlags(flags);
      await assert.rejects(poolOf(t, 1, 20_000, "wrong").start(), words);
      slow.addFlags(0);
      await assert.rejects(poolOf(t, 1, 20_000, "wrong").start(), /CKR_PIN_INCORRECT/);
    }
  });

  test("keeps nobody waiting for ever, and works on when it is back", async (t) => {
    const backend = await opened(t, 2, 1_500);
    const { handle } = await backend.generate("ed25519");
    const loosen = slow.stick();
    t.after(loosen);
    const attempts = await Promise.allSettled(Array.from({ length: 5 }, () => backend.sign(handle, DATA)));
    for (const attempt of attempts) {
      assert.ok(attempt.status === "rejected" && isMezError(attempt.reason, "KEY_BACKEND_UNAVAILABLE"));
      assert.match(attempt.reason.message, /no answer within 1.5 s/);
    }
    const late = backend.generate("ed25519");
    await assert.rejects(late, (error) => isMezError(error, "KEY_BACKEND_UNAVAILABLE"));
    loosen();
    for (let tries = 0; ; tries += 1) {
      try {
        assert.equal((await backend.sign(handle, DATA)).length, 64);
        return;
      } catch (error) {
        if (!isMezError(error, "KEY_BACKEND_UNAVAILABLE") || tries > 10) throw error;
      }
    }
  });

  test("leaves one key under an id when a session is lost right after it made one", async (t) => {
    const backend = await opened(t, 1, 20_000);
    for (const algorithm of ["ed25519", "ecdsa-p256"] as const) {
      slow.loseNextMaker();
      const { handle } = await backend.generate(algorithm);
      const other = await opened(t, 1, 20_000);
      assert.equal((await other.sign(handle, DATA)).length, 64);
    }
  });

  test("is let go when its module hangs, and answers to all who wait", async (t) => {
    const pool = poolOf(t, 1, 20_000);
    await pool.start();
    const backend = new Pkcs11KeyBackend([pool]);
    const { handle } = await backend.generate("ed25519");
    const loosen = slow.stick();
    t.after(loosen);
    const attempts = [backend.sign(handle, DATA), backend.sign(handle, DATA)];
    await pool.close(100);
    await assert.rejects(backend.sign(handle, DATA), (error) => isMezError(error, "KEY_BACKEND_UNAVAILABLE"));
    loosen();
    for (const attempt of await Promise.allSettled(attempts))
      assert.ok(attempt.status === "rejected" && isMezError(attempt.reason, "KEY_BACKEND_UNAVAILABLE"));
  });
});
