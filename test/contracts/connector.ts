import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { isMezError } from "../../core/errors/error.js";
import type { Connector, OutsideIdentity } from "../../core/ports/connector.js";

/** A connector under test, with its provider. */
export interface ConnectorUnderTest {
  readonly connector: Connector;
  /** A name and the password that belongs to it. */
  readonly good: { readonly userName: string; readonly password: string };
  /** What the connector says of that person. */
  readonly identity: OutsideIdentity;
  /** Nobody can be asked from now on. */
  away(): Promise<void>;
  /** Somebody can be asked again. */
  back(): Promise<void>;
  close(): Promise<void>;
}

/** What every filler of the port CONNECTOR must do. */
export function testConnector(name: string, open: () => Promise<ConnectorUnderTest>): void {
  describe(`connector ${name}`, () => {
    let subject: ConnectorUnderTest;
    before(async () => {
      subject = await open();
    });
    after(() => subject?.close());

    const check = (
      change: { readonly userName?: string; readonly password?: string } = {},
      signal = AbortSignal.timeout(60_000),
    ) => subject.connector.checkPassword({ ...subject.good, clientAddress: "192.0.2.7", ...change }, signal);
    const refusal = (work: Promise<unknown>) =>
      work.then(
        () => assert.fail("it was let in"),
        (error: unknown) => error,
      );

    test("says who it is, with a name that an account can have", async () => {
      const { userName, claims } = await check();
      assert.deepEqual({ userName, claims }, subject.identity);
      assert.match(userName, /^[a-z0-9][a-z0-9._@-]{0,63}$/);
      for (const values of Object.values(claims)) assert.ok(Array.isArray(values));
    });

    test("says the same of a wrong password and of a name that it does not know", async () => {
      const wrong = [
        { password: `${subject.good.password}x` },
        { userName: "nobody-of-this-name" },
        { userName: `${subject.good.userName}x` },
      ];
      const refusals = await Promise.all(wrong.map((change) => refusal(check(change))));
      for (const error of refusals) assert.ok(isMezError(error, "INVALID_CREDENTIALS"), String(error));
      assert.equal(new Set(refusals.map((error) => (error as Error).message)).size, 1);
    });

    for (const userName of ["*", "a)(uid=*", "../admin", "a/b?c=d#e", "a%2fb", "a:b", "jürgen 🔑", 'a"b\\c']) {
      test(`takes the name ${JSON.stringify(userName)} for nothing but a name`, async () => {
        assert.ok(isMezError(await refusal(check({ userName })), "INVALID_CREDENTIALS"));
      });
    }

    test("keeps many people apart who come at once", async () => {
      const answers = await Promise.allSettled(
        Array.from({ length: 20 }, (_, index) => check(index % 2 === 0 ? {} : { password: `wrong ${index}` })),
      );
      assert.deepEqual(
        answers.map(({ status }) => status),
        answers.map((_, index) => (index % 2 === 0 ? "fulfilled" : "rejected")),
      );
    });

    test("says when nobody can be asked, and goes on when somebody can", async () => {
      await subject.away();
      const error = await refusal(check());
      assert.ok(isMezError(error) && (error.kind === "unavailable" || error.kind === "timeout"), String(error));
      await subject.back();
      assert.equal((await check()).userName, subject.identity.userName);
    });

    test("does not wait for ever: a signal that is aborted ends the question", async () => {
      assert.ok(isMezError(await refusal(check({}, AbortSignal.abort()))));
    });
  });
}
