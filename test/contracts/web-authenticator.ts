import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { isMezError } from "../../core/errors/error.js";
import { Secret } from "../../core/plugin/secret.js";
import type { WebAuthenticator } from "../../core/ports/web-authenticator.js";

/** A web authenticator under test. */
export interface WebAuthenticatorUnderTest {
  readonly authenticator: WebAuthenticator;
  /** Opens a session for a person with an account. @returns Its token. */
  logIn(userName: string): Promise<Secret>;
  /** Ends the session, as by a log-out. */
  end(token: Secret): Promise<void>;
  close(): Promise<void>;
}

/** What every filler of the port WEB_AUTHENTICATOR must do; alice and bob have accounts. */
export function testWebAuthenticator(name: string, open: () => Promise<WebAuthenticatorUnderTest>): void {
  describe(`web authenticator ${name}`, () => {
    let subject: WebAuthenticatorUnderTest;
    let alice: Secret;
    before(async () => {
      subject = await open();
      alice = await subject.logIn("alice");
    });
    after(() => subject?.close());

    const ask = (token: Secret, signal = AbortSignal.timeout(60_000)) => subject.authenticator.authenticate(token, signal);

    test("knows whose session it is, the same each time", async () => {
      const person = await ask(alice);
      assert.equal(person.userName, "alice");
      assert.ok(Array.isArray(person.roles) && person.roles.every((role) => typeof role === "string"));
      assert.ok(person.sessionId !== "" && !alice.expose().includes(person.sessionId), "the log may name the session");
      assert.ok(person.expiresAt === null || person.expiresAt instanceof Date);
      assert.deepEqual(await ask(alice), person);
    });

    test("refuses what is no token of a session, and says the same of all", async () => {
      const good = alice.expose();
      const messages = new Set<string>();
      for (const wrong of [...NO_TOKENS, good.slice(0, -2), good.slice(1), `${good}x`, `${good} ${good}`, good.toUpperCase()]) {
        await assert.rejects(
          ask(new Secret(wrong)),
          (error) => {
            messages.add((error as Error).message);
            return isMezError(error, "UNAUTHENTICATED");
          },
          JSON.stringify(wrong.slice(0, 40)),
        );
      }
      assert.deepEqual(messages.size, 1, [...messages].join(" | "));
    });

    test("keeps people apart who come at once", async () => {
      const bob = await subject.logIn("bob");
      const people = await Promise.all(Array.from({ length: 20 }, (_, index) => ask(index % 2 === 0 ? alice : bob)));
      assert.deepEqual(
        people.map(({ userName }) => userName),
        people.map((_, index) => (index % 2 === 0 ? "alice" : "bob")),
      );
    });

    test("does not wait for ever: a signal that is aborted ends the question", async () => {
      await assert.rejects(ask(alice, AbortSignal.abort()), (error) => isMezError(error));
    });

    test("knows nobody by a session that has just ended, and goes on knowing others", async () => {
      const [first, second] = [await subject.logIn("bob"), await subject.logIn("bob")];
      await ask(first);
      await subject.end(first);
      await assert.rejects(ask(first), (error) => isMezError(error, "UNAUTHENTICATED"));
      assert.equal((await ask(second)).userName, "bob");
    });
  });
}

// --- internal ---

const NO_TOKENS: readonly string[] = [
  "",
  "x",
  " ",
  "contract-suite.of-another-kind",
  "a\r\nx-injected: 1",
  "a\0b",
  "jürgen 🔑",
  "x".repeat(10_000),
];
