import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";
import { isMezError, MezError } from "../../core/errors/error.js";
import { eventually } from "../../test/fixtures/eventually.js";
import { silentLogger } from "../../test/fixtures/silent-logger.js";
import type { CertificateSet } from "./certificate-set.js";
import { HealthState } from "./health.js";
import type { ObtainedSet } from "./instance.js";
import { generateInstanceKeys } from "./instance-keys.js";
import { dueAfterMs, RenewalLoop } from "./renewal-loop.js";

const NOW = Date.parse("2026-03-01T12:00:00Z");
const AWAY = new MezError("UNAVAILABLE", "the auth service is away");
const clock = { now: () => new Date(NOW) };
const keys = generateInstanceKeys();
let current: CertificateSet | null;
/** What the next attempts come to; then they succeed. */
let failures: MezError[];
let attempts: string[];
let lines: string[];
/** Sets that are no longer current, and those that were removed. */
let replaced: string[];
let removed: string[];
let health: HealthState;
let stop: AbortController;

beforeEach(() => {
  current = null;
  failures = [];
  attempts = [];
  lines = [];
  replaced = [];
  removed = [];
  health = new HealthState(clock);
  stop = new AbortController();
});

test("says nothing of a failure that it ends with, because whoever started it does", async () => {
  failures = [new MezError("JOIN_REFUSED", "the token is unknown, used or expired")];
  await assert.rejects(loop().begin(false, true, 30_000, stop.signal), (error) => isMezError(error, "JOIN_REFUSED"));
  assert.deepEqual([attempts, lines], [["bootstrap"], []]);
});

test("waits for an auth service that is away, says so, and goes on", async () => {
  failures = [AWAY];
  await loop().begin(false, true, Number.POSITIVE_INFINITY, stop.signal);
  assert.deepEqual(attempts, ["bootstrap", "bootstrap"]);
  assert.deepEqual(lines, ["could not get certificates, trying again", "bootstrapped"]);
});

test("goes on while its certificate may be good for a clock that differs by a minute", async () => {
  current = set(1, -30);
  failures = [AWAY];
  await loop().begin(true, true, Number.POSITIVE_INFINITY, stop.signal);
  assert.deepEqual([attempts, current?.generation], [["renew", "renew"], 2]);
});

test("goes on until its certificate is dead, and says so", async () => {
  current = set(1, -61);
  failures = [AWAY, AWAY];
  await assert.rejects(loop().begin(true, true, Number.POSITIVE_INFINITY, stop.signal), (error) => {
    assert.ok(isMezError(error, "UNAUTHENTICATED"));
    assert.match(
      error.message,
      /^the certificates expired at 2026-03-01T11:58:59.000Z and could not be renewed \(the auth service/,
    );
    return true;
  });
  assert.deepEqual([attempts, lines], [["renew"], []]);
});

describe("while it runs", () => {
  test("renews when it is told to, and says that the certificates are in use", async () => {
    current = set(1, 3600);
    const running = loop();
    const ended = running.run(stop.signal);
    running.renewNow();
    await eventually(() => current?.generation === 2);
    await eventually(() => attempts.length === 3);
    stop.abort();
    await ended;
    assert.deepEqual(attempts, ["settle", "renew", "settle"]);
  });

  test("lets programs finish with a set that is replaced while others settle", async () => {
    current = set(1, 3600);
    replaced = ["of before"];
    const ended = loop().run(stop.signal);
    await new Promise((resolve) => setImmediate(resolve));
    replaced.push("of the same generation, with what was trusted before");
    await eventually(() => attempts.length === 1);
    stop.abort();
    await ended;
    assert.deepEqual(removed, ["of before"]);
  });

  test("lets programs finish with the set of before, however often it is told to renew", async () => {
    current = set(1, 3600);
    const running = loop();
    const ended = running.run(stop.signal);
    for (const generation of [2, 3]) {
      running.renewNow();
      running.renewNow();
      await eventually(() => current?.generation === generation);
      running.renewNow();
    }
    await eventually(() => current?.generation === 4);
    stop.abort();
    await ended;
    assert.deepEqual(attempts, ["settle", "renew", "settle", "renew", "settle", "renew"]);
    const later = "will renew when programs have had the time to read the certificates that are new";
    assert.deepEqual(lines, [later, "renewed", later, "renewed", later, "renewed"], "once for each, however often it is told");
  });

  test("goes on when it is refused by a lock, which may be lifted, and ends when the instance was deleted", async () => {
    current = set(1, 3600);
    failures = [
      new MezError("ACCESS_DENIED", "locked"),
      new MezError("UNAUTHENTICATED", "identity/ci was deleted from this cluster"),
    ];
    const running = loop();
    running.renewNow();
    await assert.rejects(running.run(stop.signal), (error) => isMezError(error, "UNAUTHENTICATED"));
    assert.deepEqual(attempts, ["settle", "renew", "renew"]);
    assert.equal(health.report().last_error, "identity/ci was deleted from this cluster");
  });
});

for (const [lifeSeconds, intervalSeconds, dueSeconds] of [
  [3600, 1200, 1200],
  [600, 1200, 400],
  [3600, 3000, 2400],
  [0, 1200, 0],
] as const) {
  test(`certificates of ${lifeSeconds} s are renewed after ${dueSeconds} s when the interval is ${intervalSeconds} s`, () => {
    assert.equal(dueAfterMs(set(1, lifeSeconds, NOW), intervalSeconds), dueSeconds * 1000);
  });
}

// --- internal ---

function loop(): RenewalLoop {
  const logged = {
    ...silentLogger,
    info: (line: string) => void lines.push(line),
    warn: (line: string) => void lines.push(line),
  };
  return new RenewalLoop({
    instance: {
      get current() {
        return current;
      },
      bootstrap: async () => attempt("bootstrap"),
      renew: async () => attempt("renew"),
      replaced: async () => [...replaced],
      settle: async (names) => {
        attempts.push("settle");
        removed.push(...names);
      },
    },
    // The pauses are as short as they get: half a second before the second attempt.
    ...{ intervalSeconds: 1, health, clock, logger: logged, random: () => 0.999, onRenewal: () => {} },
  });
}

function attempt(what: string): ObtainedSet {
  attempts.push(what);
  const failure = failures.shift();
  if (failure !== undefined) throw failure;
  current = set((current?.generation ?? 0) + 1, 3600);
  return { set: current, notice: "" };
}

function set(generation: number, lifeSeconds: number, issuedAt = NOW): CertificateSet {
  const end = new Date(NOW + lifeSeconds * 1000);
  return {
    ...{ identity: "ci", instanceId: "1", generation, trustPem: [], tokenId: "", keys, knownHosts: "" },
    ...{ sshCertificate: "", x509CertificatePem: "", sshSerial: "7", issuedAt: new Date(issuedAt), expiresAt: end },
  };
}
