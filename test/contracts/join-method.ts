import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { isMezError } from "../../core/errors/error.js";
import type { Database } from "../../core/plugin/database.js";
import type { JoinGrant, JoinMethod } from "../../core/ports/join-method.js";

/** A way to join under test. */
export interface JoinMethodUnderTest {
  readonly method: JoinMethod;
  readonly database: Database;
  /** SHA-256 of the certificate that the agent saw; `null` for a method that is not bound to it. */
  readonly serverFingerprint: Buffer | null;
  /** What an agent proves that may join, over the bytes of its request. Each call is another right to join. */
  prove(request: Uint8Array): Promise<Uint8Array>;
  close(): Promise<void>;
}

/** What every filler of the port JOIN_METHOD must do. */
export function testJoinMethod(name: string, open: () => Promise<JoinMethodUnderTest>): void {
  describe(`join method ${name}`, () => {
    let subject: JoinMethodUnderTest;
    before(async () => {
      subject = await open();
    });
    after(() => subject?.close());

    const redeem = (proof: Uint8Array, request: Uint8Array = REQUEST, fingerprint = subject.serverFingerprint) =>
      subject.database.transaction((tx) => subject.method.redeem(tx, proof, request, fingerprint));
    const refused = async (work: Promise<JoinGrant>, what: string): Promise<string> => {
      const error: unknown = await work.then(
        () => assert.fail(`joined with ${what}`),
        (thrown: unknown) => thrown,
      );
      assert.ok(isMezError(error, "JOIN_REFUSED"), `${what}: ${String(error)}`);
      return error.message;
    };

    test("admits who has a right to join, and says as what and by which right", async () => {
      const { roles, subject: right } = await redeem(await subject.prove(REQUEST));
      assert.ok(roles.length > 0 && !roles.includes("auth"), `roles ${roles.join()}`);
      assert.ok(right !== "" && right.length <= 200 && !/\p{Cc}/u.test(right), right);
    });

    test("tells two rights apart", async () => {
      const [first, second] = [await subject.prove(REQUEST), await subject.prove(REQUEST)];
      assert.notEqual((await redeem(first)).subject, (await redeem(second)).subject);
    });

    test("takes a proof for the request that it was made for, and no other", async () => {
      const proof = await subject.prove(REQUEST);
      for (const other of [Buffer.concat([REQUEST, Buffer.alloc(1)]), REQUEST.subarray(1), Buffer.alloc(0), flipped(REQUEST, 3)])
        await refused(redeem(proof, other), "a proof over another request");
      await redeem(proof);
      await refused(redeem(proof, flipped(REQUEST, 3)), "a proof that was used");
    });

    test("takes a proof for the server that it was made for, and no other", async () => {
      const { serverFingerprint } = subject;
      if (serverFingerprint === null) return;
      const proof = await subject.prove(REQUEST);
      await refused(redeem(proof, REQUEST, flipped(serverFingerprint, 0)), "a proof for another server");
      await refused(redeem(proof, REQUEST, null), "a proof for a server that is not known");
      await redeem(proof);
    });

    test("says the same of everything that is no proof", async () => {
      const proof = Buffer.from(await subject.prove(REQUEST));
      const wrong = [
        Buffer.alloc(0),
        Buffer.from("contract suite"),
        Buffer.alloc(100_000, 0x0a),
        proof.subarray(0, -1),
        proof.subarray(1),
        flipped(proof, proof.length - 1),
        flipped(proof, proof.length >> 1),
      ];
      const messages = new Set<string>();
      for (const [index, each] of wrong.entries()) messages.add(await refused(redeem(each), `wrong proof ${index}`));
      assert.equal(messages.size, 1, [...messages].join(" | "));
      await redeem(proof);
    });

    test("uses nothing up in a transaction that is rolled back", async () => {
      const proof = await subject.prove(REQUEST);
      const rolledBack = subject.database.transaction(async (tx) => {
        await subject.method.redeem(tx, proof, REQUEST, subject.serverFingerprint);
        throw new Error("the agent is not stored");
      });
      await assert.rejects(rolledBack, /the agent is not stored/);
      await redeem(proof);
    });

    test("admits one agent for a proof, also when it comes many times at once", async () => {
      const proof = await subject.prove(REQUEST);
      const results = await Promise.allSettled(Array.from({ length: 8 }, () => redeem(proof)));
      const admitted = results.flatMap((each) => (each.status === "fulfilled" ? [each.value.subject] : []));
      // The same request once more is the same agent, whose answer got lost.
      assert.equal(new Set(admitted).size, 1);
      for (const each of results) assert.ok(each.status === "fulfilled" || isMezError(each.reason, "JOIN_REFUSED"));
    });
  });
}

// --- internal ---

const REQUEST = Buffer.from("the request of an agent, as the contract suite makes it");

function flipped(bytes: Buffer, index: number): Buffer {
  const changed = Buffer.from(bytes);
  changed[index] = (changed[index] ?? 0) ^ 1;
  return changed;
}
