import assert from "node:assert/strict";
import { test } from "node:test";
import { openTestDatabase } from "../../test/fixtures/database.js";
import { appendToOutbox, type OutboxRow, readOutbox, readOutboxHead } from "../events/outbox.js";
import { OutboxFollower } from "../events/outbox-follower.js";
import { OutboxKeeper } from "./outbox-keeper.js";

const MESSAGE = { topic: "collection:things@1", key: "a", payload: 1, removed: false };

test("keeps the last message that a server knows which looked a minute ago, so that it misses none", async (t) => {
  const { database, close } = await openTestDatabase({});
  t.after(close);
  let now = 0;
  const keeper = new OutboxKeeper(true, () => now);
  const commit = (messages: number, upkeep = keeper.begin()) =>
    database.transaction(async ({ em }) => {
      await upkeep.write(em);
      await appendToOutbox(em, Array<typeof MESSAGE>(messages).fill(MESSAGE), "one");
    });
  const heard: OutboxRow[] = [];
  await commit(3);
  now = 10_000;
  await commit(0);
  const follower = new OutboxFollower({
    head: await database.read((em) => readOutboxHead(em, { lock: false })),
    deliver: (rows) => heard.push(...rows),
    lost: async () => assert.fail("nothing is lost"),
  });
  now = 71_000;
  await commit(1, { write: async () => {}, failed() {} }); // of another server
  await commit(1);
  assert.deepEqual(
    (await database.read(readOutbox)).map(({ seq }) => seq),
    [3, 4, 5],
  );
  await database.read((em) => follower.look(em));
  assert.deepEqual(
    heard.map(({ seq }) => seq),
    [4, 5],
  );
});
