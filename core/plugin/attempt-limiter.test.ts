import assert from "node:assert/strict";
import test from "node:test";
import { isMezError } from "../errors/error.js";
import { AttemptLimiter } from "./attempt-limiter.js";

const LIMITS = { freePerUser: 3, freePerAddress: 6, windowSeconds: 900, maxDelaySeconds: 60 };

class Watch {
  seconds = 0;
  now(): Date {
    return new Date(this.seconds * 1000);
  }
}

/** Seconds to wait, 0 when the attempt was let through. */
function waitFor(limiter: AttemptLimiter, user: string, address: string): number {
  try {
    limiter.begin(user, address);
    return 0;
  } catch (error) {
    assert.ok(isMezError(error, "TOO_MANY_ATTEMPTS"));
    return Number(error.fields["retryAfterSeconds"]);
  }
}

test("the wait doubles with each failure up to the longest", () => {
  const watch = new Watch();
  const limiter = new AttemptLimiter(watch, LIMITS);
  const waits: number[] = [];
  for (let count = 0; count < 11; count++) {
    const wait = waitFor(limiter, "alice", `192.0.2.${count}`);
    waits.push(wait);
    watch.seconds += wait;
    if (wait > 0) assert.equal(waitFor(limiter, "alice", `192.0.2.${count}`), 0);
  }
  assert.deepEqual(waits, [0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60]);
});

test("many attempts at once get no free tries", () => {
  const limiter = new AttemptLimiter(new Watch(), LIMITS);
  const waits = Array.from({ length: 5 }, () => waitFor(limiter, "alice", "192.0.2.1"));
  assert.deepEqual(waits, [0, 0, 0, 1, 1]);
});

test("an address is limited over all names; an IPv6 address with its whole network", () => {
  for (const address of [() => "192.0.2.1", (index: number) => `2001:db8:1:2::${index + 1}`]) {
    const limiter = new AttemptLimiter(new Watch(), LIMITS);
    const waits = Array.from({ length: 7 }, (_, index) => waitFor(limiter, `user${index}`, address(index)));
    assert.deepEqual(waits, [0, 0, 0, 0, 0, 0, 1]);
    assert.equal(waitFor(limiter, "other", "2001:db8:1:3::1"), 0);
  }
});

test("success forgets the failures of the name, and time those of all", () => {
  const watch = new Watch();
  const limiter = new AttemptLimiter(watch, LIMITS);
  waitFor(limiter, "alice", "192.0.2.1");
  waitFor(limiter, "alice", "192.0.2.1");
  limiter.begin("alice", "192.0.2.1").succeeded();
  assert.deepEqual(
    [1, 2, 3, 4].map(() => waitFor(limiter, "alice", "192.0.2.1")),
    [0, 0, 0, 1],
  );
  watch.seconds += 900;
  assert.equal(waitFor(limiter, "alice", "192.0.2.1"), 0);
});

test("a stranger's guesses do not lock out a user at a known address", () => {
  const limiter = new AttemptLimiter(new Watch(), LIMITS);
  limiter.begin("alice", "192.0.2.1").succeeded();
  for (let count = 0; count < 4; count++) waitFor(limiter, "alice", "198.51.100.9");
  assert.equal(waitFor(limiter, "alice", "198.51.100.9"), 1);
  assert.equal(waitFor(limiter, "alice", "192.0.2.1"), 0);
});
