import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { isMezError } from "../../core/errors/error.js";
import type { Authenticator, CallCredentials } from "../../core/ports/authenticator.js";

/** An authenticator under test. */
export interface AuthenticatorUnderTest {
  readonly authenticator: Authenticator;
  /** Credentials that it knows. */
  readonly good: CallCredentials;
  /** Credentials of its kind that do not hold: ended, forged, of nobody. */
  readonly bad: readonly CallCredentials[];
  close(): Promise<void>;
}

/** What every filler of the port AUTHENTICATOR must do. */
export function testAuthenticator(name: string, open: () => Promise<AuthenticatorUnderTest>): void {
  describe(`authenticator ${name}`, () => {
    let subject: AuthenticatorUnderTest;
    before(async () => {
      subject = await open();
    });
    after(() => subject.close());

    test("knows a caller, the same each time", async () => {
      const caller = await subject.authenticator.authenticate(subject.good);
      assert.ok(caller !== null && caller.kind !== "anonymous");
      assert.deepEqual(await subject.authenticator.authenticate(subject.good), caller);
    });

    test("leaves what is not of its kind to others", async () => {
      const none = { bearerToken: null, clientCertificate: null, clientAddress: "192.0.2.7" };
      assert.equal(await subject.authenticator.authenticate(none), null);
      const foreign = { ...none, bearerToken: "contract-suite.of-another-kind" };
      assert.equal(await subject.authenticator.authenticate(foreign), null);
    });

    test("refuses what is of its kind and does not hold, and says the same of all", async () => {
      const messages = new Set<string>();
      for (const credentials of subject.bad) {
        await assert.rejects(subject.authenticator.authenticate(credentials), (error) => {
          if (isMezError(error)) messages.add(error.message);
          return isMezError(error, "UNAUTHENTICATED");
        });
      }
      assert.ok(messages.size <= 1, "one message, so that nobody learns which part was right");
    });
  });
}
