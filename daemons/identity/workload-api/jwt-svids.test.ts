import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { isMezError, MezError } from "../../../core/errors/error.js";
import { FakeWorkloadAuthority } from "../../../test/fakes/workload-authority.js";
import { silentLogger } from "../../../test/fixtures/silent-logger.js";
import { JwtSvids } from "./jwt-svids.js";
import type { UnixFacts } from "./selectors.js";
import { readSnapshot, type WorkloadDirectory, type WorkloadEntry } from "./workload-entry.js";

const FACTS: UnixFacts = { pid: 7, uid: 1000, gid: 100, groups: [], path: null, sha256: null, isProgramVisible: true };

let now: number;
let authority: FakeWorkloadAuthority;
let svids: JwtSvids;
beforeEach(async () => {
  now = Date.parse("2030-01-01T00:00:00Z");
  const clock = { now: () => new Date(now) };
  authority = await FakeWorkloadAuthority.make(clock);
  authority.entries = [authority.entry("web", { uids: [1000] })];
  svids = new JwtSvids({ issuer: authority, clock, logger: silentLogger, random: () => 0 });
});

test("hands the same token out until half of its life is over, for the same audiences in any order", async () => {
  const [first, same, other] = await Promise.all([ask("a", "b"), ask("b", "a", "a"), ask("a")]);
  assert.equal(same.token, first.token);
  assert.notEqual(other.token, first.token);
  assert.equal(isAtHand("b", "a"), true);
  assert.equal(isAtHand("c"), false);
  now += 149_999;
  assert.equal((await ask("a", "b")).token, first.token);
  now += 1;
  assert.equal(isAtHand("a", "b"), false);
  assert.notEqual((await ask("a", "b")).token, first.token);
});

test("hands a token out in its second half while the auth service is away, and not when it says no", async () => {
  const first = await ask("a");
  now += 200_000;
  authority.failure = new MezError("UNAVAILABLE", "cannot reach the auth service");
  assert.equal((await ask("a")).token, first.token);
  authority.failure = new MezError("ACCESS_DENIED", "locked");
  await assert.rejects(ask("a"), (error) => isMezError(error, "ACCESS_DENIED"));
  authority.failure = new MezError("UNAVAILABLE", "cannot reach the auth service");
  now += 100_000;
  await assert.rejects(ask("a"), (error) => isMezError(error, "UNAVAILABLE"));
});

test("replaces a token whose key is trusted no more, or whose entry has changed", async () => {
  const first = await ask("a");
  await authority.rotate();
  assert.equal((await ask("a")).token, first.token, "both keys are trusted");
  authority.forget();
  const second = await ask("a");
  assert.notEqual(second.token, first.token);
  authority.entries = authority.entries.map((entry) => ({ ...entry, revision: "2" }));
  assert.notEqual((await ask("a")).token, second.token);
});

test("forgets everything when nothing may be served", async () => {
  await ask("a");
  svids.keep(null);
  assert.equal(isAtHand("a"), false);
});

// --- internal ---

function directory(): WorkloadDirectory {
  return readSnapshot(authority.snapshot);
}

function ask(...audiences: string[]) {
  const { entries, bundle } = directory();
  return svids.of(entries[0] as WorkloadEntry, audiences, FACTS, bundle);
}

function isAtHand(...audiences: string[]): boolean {
  const { entries, bundle } = directory();
  return svids.isAtHand(entries[0] as WorkloadEntry, audiences, bundle);
}
