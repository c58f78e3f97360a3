import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { isMezError, MezError } from "../../core/errors/error.js";
import type { Database } from "../../core/plugin/database.js";
import type { LoginAttempt, LoginStep, LoginStepOutcome } from "../../core/ports/login-step.js";

/** A login step under test. */
export interface LoginStepUnderTest {
  readonly step: LoginStep;
  readonly database: Database;
  /** Name of a person of whom the step wants nothing; it has no answer. */
  readonly free: string;
  /** Name of a person of whom it wants something, with the client's right answer; `null` for a step that only lets pass or refuses. */
  readonly bound: {
    readonly userName: string;
    /** The right answer to one demand; called once for each. */
    answer(demand: Buffer): Promise<Buffer>;
  } | null;
  /** Name of a person whom the step refuses whatever the answer; `null` when there is none. */
  readonly refused: string | null;
  close(): Promise<void>;
}

/** What every filler of the port LOGIN_STEP must do. */
export function testLoginStep(name: string, open: () => Promise<LoginStepUnderTest>): void {
  describe(`login step ${name}`, () => {
    let subject: LoginStepUnderTest;
    before(async () => {
      subject = await open();
    });
    after(() => subject?.close());

    /** One call of a login, as the server makes it. */
    const logIn = (userName: string, answer: Buffer | null, change: Partial<LoginAttempt> = {}): Promise<LoginStepOutcome> =>
      subject.database.transaction(async (tx) => {
        const outcome = await subject.step.check(tx, { ...attemptOf(userName), answer, ...change });
        if ("passed" in outcome) await outcome.use?.();
        return outcome;
      });
    const demanded = async (userName: string): Promise<Buffer> => {
      const outcome = await logIn(userName, null);
      assert.ok("demand" in outcome, "the step demands nothing");
      return outcome.demand;
    };

    test("lets those pass of whom it wants nothing, with facts that the audit log can take", async () => {
      const outcome = await logIn(subject.free, null);
      assert.ok("passed" in outcome);
      assert.deepEqual(JSON.parse(JSON.stringify(outcome.passed)), outcome.passed);
      assert.equal(outcome.device, undefined);
    });

    test("demands something of the others each time that they come without an answer", async (t) => {
      const { bound } = subject;
      if (bound === null) return t.diagnostic("it demands nothing of anybody");
      for (let count = 0; count < 3; count += 1) {
        const demand = await demanded(bound.userName);
        assert.ok(Buffer.isBuffer(demand) && demand.length > 0 && demand.length <= MAX_DEMAND_BYTES);
      }
    });

    test("takes a right answer once", async (t) => {
      const { bound } = subject;
      if (bound === null) return t.diagnostic("it demands nothing of anybody");
      const answer = await bound.answer(await demanded(bound.userName));
      const facts = factsOf(await logIn(bound.userName, answer));
      assert.notEqual(facts, null);
      assert.notDeepEqual(await refusedOr(logIn(bound.userName, answer)), facts);
    });

    test("keeps an answer good for a login that another step held up", async (t) => {
      const { bound } = subject;
      if (bound === null) return t.diagnostic("it demands nothing of anybody");
      const answer = await bound.answer(await demanded(bound.userName));
      const unused = await subject.database.transaction((tx) => subject.step.check(tx, { ...attemptOf(bound.userName), answer }));
      const rolledBack = subject.database.transaction(async (tx) => {
        const outcome = await subject.step.check(tx, { ...attemptOf(bound.userName), answer });
        if ("passed" in outcome) await outcome.use?.();
        throw new Error("another step refused");
      });
      await assert.rejects(rolledBack, /another step refused/);
      assert.deepEqual(factsOf(await logIn(bound.userName, answer)), factsOf(unused));
    });

    test("lets one in of many who bring one answer at once", async (t) => {
      const { bound } = subject;
      if (bound === null) return t.diagnostic("it demands nothing of anybody");
      const answer = await bound.answer(await demanded(bound.userName));
      const facts = await Promise.all(Array.from({ length: 8 }, () => refusedOr(logIn(bound.userName, answer))));
      const first = facts.find((each) => each !== null);
      assert.ok(first !== undefined, "nobody was let in");
      assert.equal(facts.filter((each) => each === first).length, 1);
    });

    test("takes an answer from the one whom it asked", async (t) => {
      const { bound } = subject;
      if (bound === null) return t.diagnostic("it demands nothing of anybody");
      const answer = await bound.answer(await demanded(bound.userName));
      const other = await refusedOr(logIn(subject.free, answer));
      assert.notEqual(await refusedOr(logIn(bound.userName, answer)), other);
    });

    test("takes no answer that is damaged, and calls none of them a fault of its own", async (t) => {
      const { bound } = subject;
      if (bound === null) return t.diagnostic("it demands nothing of anybody");
      const answer = await bound.answer(await demanded(bound.userName));
      const damaged = [
        Buffer.from("contract suite"),
        Buffer.alloc(100_000, 0xff),
        answer.subarray(0, -1),
        answer.subarray(1),
        flipped(answer, answer.length - 1),
        flipped(answer, answer.length >> 1),
      ];
      const facts = await Promise.all(damaged.map((each) => refusedOr(logIn(bound.userName, each))));
      assert.ok(!facts.includes(factsOf(await logIn(bound.userName, answer))));
    });

    test("refuses with an error for people, and can write that down", async (t) => {
      const { step, refused } = subject;
      const error = new MezError("ACCESS_DENIED", "refused by the contract suite");
      await step.refused?.(attemptOf(subject.free), error);
      if (refused === null) return t.diagnostic("it refuses nobody for good");
      await assert.rejects(logIn(refused, null), (thrown) => isMezError(thrown) && thrown.kind !== "internal");
    });
  });
}

// --- internal ---

const MAX_DEMAND_BYTES = 64 * 1024;

function attemptOf(userName: string): LoginAttempt {
  return { userName, userRoles: [], clientAddress: "192.0.2.7", sessionId: "s1", answer: null };
}

/** What a login that passed proved, as text; `null` when it did not pass. */
function factsOf(outcome: LoginStepOutcome): string | null {
  return "passed" in outcome ? JSON.stringify([outcome.passed, outcome.device ?? null]) : null;
}

/** The same; `null` also for a refusal. @throws what is no error for people */
async function refusedOr(work: Promise<LoginStepOutcome>): Promise<string | null> {
  try {
    return factsOf(await work);
  } catch (error) {
    if (isMezError(error) && error.kind !== "internal") return null;
    throw error;
  }
}

function flipped(bytes: Buffer, index: number): Buffer {
  const changed = Buffer.from(bytes);
  changed[index] = (changed[index] ?? 0) ^ 1;
  return changed;
}
