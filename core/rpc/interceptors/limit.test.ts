import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "../../time/clock.js";
import { AnonymousCallLimiter } from "./limit.js";

for (const [what, first, second] of [
  ["an IPv6 network, whichever of its addresses is used", "2001:db8:1:2::1", "2001:db8:1:2:ffff::9"],
  ["an IPv4 address, also when it is mapped", "192.0.2.7", "::ffff:192.0.2.7"],
] as const) {
  test(`counts the calls of ${what}`, () => {
    const limiter = new AnonymousCallLimiter({ burst: 1, perSecond: 0 }, systemClock);
    limiter.admit(first);
    assert.throws(() => limiter.admit(second), { code: "LIMIT_EXCEEDED" });
  });
}

test("counts two networks apart", () => {
  const limiter = new AnonymousCallLimiter({ burst: 1, perSecond: 0 }, systemClock);
  limiter.admit("2001:db8:1:2::1");
  limiter.admit("2001:db8:1:3::1");
});
