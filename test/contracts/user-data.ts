import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { Database } from "../../core/plugin/database.js";
import type { UserData } from "../../core/ports/user-data.js";

/** Data of people under test. */
export interface UserDataUnderTest {
  readonly userData: UserData;
  readonly database: Database;
  /** Has something of everything kept that the plugin keeps of a person. */
  keep(userName: string): Promise<void>;
  /** How much is kept of a person by now, whoever looks for it under that name. */
  kept(userName: string): Promise<number>;
  close(): Promise<void>;
}

/** What every filler of the port USER_DATA must do; alice, alice2, al_ce and bob are people of the cluster. */
export function testUserData(name: string, open: () => Promise<UserDataUnderTest>): void {
  describe(`user data ${name}`, () => {
    let subject: UserDataUnderTest;
    before(async () => {
      subject = await open();
    });
    after(() => subject?.close());

    const forget = (userName: string) => subject.database.transaction((tx) => subject.userData.forget(tx, userName));

    test("forgets all of one person and nothing of another", async () => {
      for (const person of PEOPLE) await subject.keep(person);
      const others = await Promise.all(PEOPLE.slice(1).map((person) => subject.kept(person)));
      assert.ok((await subject.kept("alice")) > 0 && others.every((count) => count > 0), "keep() keeps something");
      await forget("alice");
      assert.equal(await subject.kept("alice"), 0);
      assert.deepEqual(await Promise.all(PEOPLE.slice(1).map((person) => subject.kept(person))), others);
    });

    test("forgets nothing when the transaction is rolled back", async () => {
      if ((await subject.kept("bob")) === 0) await subject.keep("bob");
      const before = await subject.kept("bob");
      const rolledBack = subject.database.transaction(async (tx) => {
        await subject.userData.forget(tx, "bob");
        throw new Error("the user is not deleted");
      });
      await assert.rejects(rolledBack, /the user is not deleted/);
      assert.equal(await subject.kept("bob"), before);
    });

    test("has nothing against somebody of whom nothing is kept, or not any more", async () => {
      await forget("nobody-of-this-name");
      await forget("bob");
      await forget("bob");
      assert.equal(await subject.kept("bob"), 0);
    });

    test("keeps of who gets the name next what is theirs", async () => {
      await forget("alice");
      await subject.keep("alice");
      assert.ok((await subject.kept("alice")) > 0);
    });
  });
}

// --- internal ---

/** Names that a careless query takes for one another. */
const PEOPLE = ["alice", "alice2", "al_ce", "bob"];
