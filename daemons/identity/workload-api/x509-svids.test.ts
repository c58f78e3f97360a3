import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { beforeEach, test } from "node:test";
import { isMezError, MezError } from "../../../core/errors/error.js";
import { FakeWorkloadAuthority } from "../../../test/fakes/workload-authority.js";
import { silentLogger } from "../../../test/fixtures/silent-logger.js";
import type { UnixFacts } from "./selectors.js";
import { readSnapshot, type WorkloadDirectory } from "./workload-entry.js";
import { X509Svids } from "./x509-svids.js";

const FACTS: UnixFacts = { pid: 7, uid: 1000, gid: 100, groups: [], path: null, sha256: null, isProgramVisible: true };
const HALF_LIFE_MS = 1_800_000;
const AWAY = new MezError("UNAVAILABLE", "cannot reach the auth service");

let now: number;
let authority: FakeWorkloadAuthority;
let svids: X509Svids;
let renewals: number;
beforeEach(async () => {
  now = Date.parse("2030-01-01T00:00:00Z");
  renewals = 0;
  const clock = { now: () => new Date(now) };
  authority = await FakeWorkloadAuthority.make(clock);
  authority.entries = [authority.entry("web", { uids: [1000] }), authority.entry("db", { uids: [1000] })];
  svids = new X509Svids({ issuer: authority, clock, logger: silentLogger, random: () => 0 }, () => {
    renewals += 1;
  });
});

test("makes a key and an SVID for each entry once, however many ask", async () => {
  const found = await Promise.all([ask(), ask(), ask()]);
  const again = await ask();
  assert.deepEqual(authority.issued, ["web", "db"]);
  assert.equal(renewals, 1);
  for (const some of [...found, again]) assert.deepEqual(some.map(keyOf), again.map(keyOf));
  const [web, db] = again;
  assert.notDeepEqual(keyOf(web), keyOf(db));
  const leaf = new X509Certificate(web?.certificateChain as Buffer);
  assert.equal(leaf.subjectAltName, "URI:spiffe://example.test/web");
  assert.ok(leaf.checkPrivateKey(web?.privateKey as NonNullable<typeof web>["privateKey"]));
});

test("renews with a new key when half of the life is over, not before", async () => {
  const first = await ask();
  assert.equal(svids.dueInMs(directory().entries), HALF_LIFE_MS);
  now += HALF_LIFE_MS - 1;
  assert.deepEqual((await ask()).map(keyOf), first.map(keyOf));
  now += 1;
  const second = await ask();
  assert.equal(authority.issued.length, 4);
  assert.notDeepEqual(keyOf(second[0]), keyOf(first[0]));
});

test("serves an SVID while the auth service is away, until it expires, and tries again with longer and longer pauses", async () => {
  const first = await ask();
  authority.failure = AWAY;
  now += HALF_LIFE_MS;
  const pauses: number[] = [];
  for (let attempt = 0; attempt < 8; attempt += 1) {
    assert.deepEqual((await ask()).map(keyOf), first.map(keyOf));
    pauses.push(svids.dueInMs(directory().entries) / 1000);
    now += svids.dueInMs(directory().entries);
  }
  assert.deepEqual(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
  now = (first[0]?.expiresAt.getTime() ?? 0) + 1;
  await assert.rejects(ask(), (error) => isMezError(error, "UNAVAILABLE"));
  authority.failure = null;
  now += 60_000;
  assert.notDeepEqual(keyOf((await ask())[0]), keyOf(first[0]));
});

test("asks again at once after a new snapshot", async () => {
  authority.failure = AWAY;
  await assert.rejects(ask(), (error) => isMezError(error, "UNAVAILABLE"));
  authority.failure = null;
  await assert.rejects(ask(), (error) => isMezError(error, "UNAVAILABLE"), "not before its pause is over");
  svids.keep(directory());
  assert.equal((await ask()).length, 2);
});

test("hands nothing out when the auth service says no, whatever is held", async () => {
  await ask();
  authority.failure = new MezError("ACCESS_DENIED", "identity/ci is locked: find out why");
  now += HALF_LIFE_MS;
  await assert.rejects(ask(), (error) => isMezError(error, "ACCESS_DENIED") && !/find out/.test(error.message));
});

test("leaves out the entry that is gone, and serves the other", async () => {
  const { entries, bundle } = directory();
  authority.entries = authority.entries.slice(1);
  const found = await svids.of(entries, FACTS, bundle);
  assert.deepEqual(
    found.map(({ spiffeId }) => spiffeId),
    ["spiffe://example.test/db"],
  );
});

test("replaces the SVID of an entry that has changed", async () => {
  const first = await ask();
  authority.entries = authority.entries.map((entry) => ({ ...entry, revision: "2" }));
  svids.keep(directory());
  const second = await ask();
  assert.equal(authority.issued.length, 4);
  assert.notDeepEqual(keyOf(second[0]), keyOf(first[0]));
});

test("renews soon when another key signs, and at once when the old one is trusted no more", async () => {
  const first = await ask();
  await authority.rotate();
  const second = await ask();
  assert.notDeepEqual(keyOf(second[0]), keyOf(first[0]));
  await authority.rotate();
  authority.forget();
  const third = await ask();
  assert.notDeepEqual(keyOf(third[0]), keyOf(second[0]));
  assert.equal(authority.issued.length, 6);
});

test("forgets everything when nothing may be served", async () => {
  const first = await ask();
  svids.keep(null);
  assert.notDeepEqual(keyOf((await ask())[0]), keyOf(first[0]));
});

// --- internal ---

function directory(): WorkloadDirectory {
  return readSnapshot(authority.snapshot);
}

function ask() {
  const { entries, bundle } = directory();
  return svids.of(entries, FACTS, bundle);
}

function keyOf(svid: { readonly privateKey: { export(options: { format: "jwk" }): unknown } } | undefined): unknown {
  return svid?.privateKey.export({ format: "jwk" });
}
