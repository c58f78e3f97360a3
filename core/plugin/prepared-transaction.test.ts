import assert from "node:assert/strict";
import { test } from "node:test";
import { isMezError, MezError } from "../errors/error.js";
import type { Database, Transaction } from "./database.js";
import { preparedTransaction } from "./prepared-transaction.js";

test("makes what is needed outside of the transaction, once", async () => {
  const { database, log } = fakeDatabase();
  const answer = await preparedTransaction<string, string>(database, async (_tx, prepared) => {
    log.push("work");
    return prepared({ name: "web" }, async () => {
      log.push("make");
      return "signed";
    });
  });
  assert.equal(answer, "signed");
  assert.deepEqual(log, ["begin", "work", "undo", "make", "begin", "work", "commit"]);
});

test("makes it anew when what it depends on has changed meanwhile", async () => {
  const { database } = fakeDatabase();
  const made: number[] = [];
  let stored = 1;
  const answer = await preparedTransaction<number, number>(database, async (_tx, prepared) =>
    prepared(stored, async () => {
      made.push(stored);
      if (stored === 1) stored = 2;
      return stored;
    }),
  );
  assert.deepEqual([answer, made], [2, [1, 2]]);
});

test("gives up when it never stands still, and passes on what went wrong", async () => {
  const { database } = fakeDatabase();
  let stored = 0;
  const restless = preparedTransaction(database, async (_tx, prepared) => {
    stored += 1;
    return prepared(stored, async () => stored);
  });
  await assert.rejects(restless, (error) => isMezError(error, "UNAVAILABLE"));
  const broken = preparedTransaction(database, async (_tx, prepared) =>
    prepared("x", () => Promise.reject(new MezError("KEY_BACKEND_UNAVAILABLE", "away"))),
  );
  await assert.rejects(broken, (error) => isMezError(error, "KEY_BACKEND_UNAVAILABLE"));
});

// --- internal ---

function fakeDatabase(): { readonly database: Database; readonly log: string[] } {
  const log: string[] = [];
  const tx = {} as Transaction;
  const database: Database = {
    read: () => Promise.reject(new Error("nothing is read here")),
    async transaction(work) {
      log.push("begin");
      try {
        const answer = await work(tx);
        log.push("commit");
        return answer;
      } catch (error) {
        log.push("undo");
        throw error;
      }
    },
  };
  return { database, log };
}
