import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { Guard, GuardSubject } from "../../core/ports/guard.js";

/** A guard under test. */
export interface GuardUnderTest {
  readonly guard: Guard;
  /** Somebody whom it lets in until `refuse` was called. */
  readonly subject: GuardSubject;
  /** Has the guard refuse `subject` from now on; resolves when it does. */
  refuse(): Promise<void>;
  close(): Promise<void>;
}

/** What every filler of the port GUARD must do. */
export function testGuard(name: string, open: () => Promise<GuardUnderTest>): void {
  describe(`guard ${name}`, () => {
    let subject: GuardUnderTest;
    before(async () => {
      subject = await open();
    });
    after(() => subject.close());

    test("has no objection to somebody it knows nothing of", () => {
      assert.equal(subject.guard.refusal({}), null);
      assert.equal(subject.guard.refusal({ user: "nobody-of-this-name", roles: [], agent: "no-node" }), null);
    });

    test("tells whoever listens when it refuses somebody, and says why", async () => {
      const { guard } = subject;
      const calls: string[] = [];
      const stopFirst = guard.onChange(() => calls.push("first"));
      const stopSecond = guard.onChange(() => calls.push("second"));
      stopFirst();
      stopFirst();
      assert.equal(guard.refusal(subject.subject), null);
      await subject.refuse();
      const refusal = guard.refusal(subject.subject);
      assert.ok(refusal !== null && refusal.message !== "" && refusal.detail !== "");
      assert.ok(!/[\r\n]/.test(refusal.message), "the message is one line");
      assert.ok(calls.length > 0 && calls.every((each) => each === "second"), "only those hear of it who still listen");
      stopSecond();
    });
  });
}
