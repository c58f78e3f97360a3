import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { MezError } from "../../../core/errors/error.js";
import { Secret } from "../../../core/plugin/secret.js";
import { makeKeys } from "../new-keys.js";
import type { Profile } from "../profile.js";
import { ProfileStore } from "../profile-store.js";
import { ProfileLogin, type ProfileLoginParts } from "./profile-login.js";

const HOUR = 3_600_000;

/** A store with a login, and a clock that the test moves. */
async function bed(t: TestContext, parts: Partial<ProfileLoginParts> = {}) {
  const folder = await mkdtemp(join(tmpdir(), "mezite-agent-"));
  t.after(() => rm(folder, { recursive: true }));
  const store = new ProfileStore(folder);
  const notes: string[] = [];
  const state = { now: Date.now(), renewals: 0 };
  /** Stores new certificates, valid for `hours` from now on. */
  const save = (hours: number, sessionHours: number): void => {
    const keys = makeKeys("eve");
    const profile: Profile = {
      ...{ cluster: "test", authServers: ["a:1"], proxies: ["p:1"], user: "eve", roles: [], logins: [] },
      expiresAt: new Date(state.now + hours * HOUR),
      sessionExpiresAt: new Date(state.now + sessionHours * HOUR),
    };
    const { sshPrivateKey, sshPublicKey, tlsPrivateKeyPem } = keys;
    const signed = {
      sshCertificate: `t ${Buffer.from(sshPublicKey).toString("base64")} c`,
      tlsCertificatePem: "",
      hostCaPem: "",
      knownHosts: "",
    };
    store.save(profile, { sessionToken: new Secret("s"), sshPrivateKey, sshPublicKey, tlsPrivateKeyPem, ...signed }, "");
  };
  const login = new ProfileLogin({
    store,
    choose: () => {
      const profile = store.current();
      if (profile === null) throw new MezError("UNAUTHENTICATED", "you are not logged in");
      return profile;
    },
    renew: async () => {
      state.renewals += 1;
      save(1, 3);
    },
    refreshTrust: () => undefined,
    logIn: null,
    now: () => new Date(state.now),
    note: (text) => void notes.push(text),
    ...parts,
  });
  t.after(() => login.stop());
  return { login, store, state, notes, save };
}

const blobOf = async (login: ProfileLogin): Promise<Buffer | undefined> => (await login.valid())?.key.publicKeyBlob;

test("keeps the key in memory, and knows the one that it replaced", async (t) => {
  const { login, save } = await bed(t);
  save(1, 3);
  const first = (await blobOf(login)) as Buffer;
  save(1, 3);
  const second = (await blobOf(login)) as Buffer;
  assert.ok(!first.equals(second));
  assert.ok(login.find(first) !== null, "a client may have asked for the list just before");
  assert.ok(login.find(second) !== null);
  assert.equal(login.find(Buffer.from("other")), null);
});

test("has the Host CA followed while it is used, every ten minutes at most", async (t) => {
  const asked: string[] = [];
  const { login, state, save } = await bed(t, { refreshTrust: ({ cluster }) => void asked.push(cluster) });
  await login.valid();
  assert.deepEqual(asked, [], "there is no login yet");
  save(1, 3);
  for (let use = 0; use < 3; use += 1) await login.valid();
  assert.deepEqual(asked, ["test"]);
  state.now += 600_000;
  for (let use = 0; use < 3; use += 1) await login.valid();
  assert.deepEqual(asked, ["test", "test"]);
});

test("renews a certificate that ran out while nobody looked, once for all who ask", async (t) => {
  const { login, state, save } = await bed(t);
  save(1, 3);
  await login.valid();
  state.now += 2 * HOUR;
  const found = await Promise.all([login.valid(), login.valid(), login.valid()]);
  assert.ok(found.every((key) => key !== null));
  assert.equal(state.renewals, 1);
});

test("has nothing after a logout, not even for a client that knows the key", async (t) => {
  const { login, store, save } = await bed(t);
  save(1, 3);
  const blob = (await blobOf(login)) as Buffer;
  store.remove("test");
  assert.equal(await login.valid(), null);
  assert.equal(login.find(blob), null);
});

test("says once that the login has ended, when nobody can be asked", async (t) => {
  const { login, state, notes, save } = await bed(t);
  save(1, 1);
  await login.valid();
  state.now += 2 * HOUR;
  for (let times = 0; times < 3; times += 1) assert.equal(await login.valid(), null);
  assert.deepEqual([state.renewals, notes], [0, ['the login of eve on cluster test has ended; run "msh login"']]);
});

test("asks for a new login, and not again at once when the person gives up", async (t) => {
  let asked = 0;
  const logIn: ProfileLoginParts["logIn"] = async () => {
    asked += 1;
    if (asked === 1) throw new MezError("CANCELLED", "nothing was entered");
    made.save(1, 1);
  };
  const made = await bed(t, { logIn });
  made.save(1, 1);
  await made.login.valid();
  made.state.now += 2 * HOUR;
  assert.equal(await made.login.valid(), null);
  assert.equal(await made.login.valid(), null);
  assert.equal(asked, 1);
  made.state.now += 31_000;
  assert.ok((await made.login.valid()) !== null);
  assert.equal(asked, 2);
});

for (const [what, sessionHours, renewals] of [
  ["that the auth service has ended", 3, 1],
  ["whose last second has come", 1 + 1 / 3600, 0],
] as const) {
  test(`asks for a new login in place of one ${what}`, async (t) => {
    let [asked, tried] = [0, 0];
    const made = await bed(t, {
      renew: async () => {
        tried += 1;
        throw new MezError("UNAUTHENTICATED", "the session is unknown or has ended; log in again");
      },
      logIn: async () => {
        asked += 1;
        made.save(1, 3);
      },
    });
    made.save(1, sessionHours);
    await made.login.valid();
    made.state.now += HOUR;
    assert.ok((await made.login.valid()) !== null);
    assert.deepEqual([asked, tried, made.notes], [1, renewals, []]);
  });
}

test("keeps what it has while the auth service is away", async (t) => {
  const made = await bed(t, { renew: async () => Promise.reject(new MezError("UNAVAILABLE", "gone")) });
  made.save(1, 3);
  const blob = await blobOf(made.login);
  made.login.start();
  made.state.now += 0.75 * HOUR;
  assert.deepEqual(await blobOf(made.login), blob);
});
