import assert from "node:assert/strict";
import { test } from "node:test";
import { WatchMessage } from "../../proto/gen/mezite/core/v1/watch.js";
import { batched, EntryMessages, messageOf, serializeWatchMessage } from "./watch-message.js";

const CHANGES = [
  { kind: "roles@1", key: "dev", value: { logins: ["deploy"] } },
  { kind: "roles@1", key: "ops" },
  { kind: "locks@1", key: "7f3a", value: "é".repeat(200) },
];

test("a batch is read as the messages that were put into it", () => {
  const messages = CHANGES.map(messageOf);
  const [batch, ...others] = batched(messages);
  assert.ok(batch !== undefined && others.length === 0);
  const { message } = WatchMessage.decode(serializeWatchMessage(batch));
  assert.ok(message?.$case === "batch");
  assert.deepEqual(
    message.batch.messages.map((each) => each.message),
    messages.map((each) => each.message),
  );
  assert.deepEqual(serializeWatchMessage(batch), Buffer.from(WatchMessage.encode(batch).finish()));
});

test("begins another batch before one grows too long, and keeps the order", () => {
  const messages = Array.from({ length: 7 }, (_, index) =>
    messageOf({ kind: "roles@1", key: `role-${index}`, value: "x".repeat(50) }),
  );
  const limit = messages.slice(0, 3).reduce((total, { bytes }) => total + bytes.length, 0);
  const read = [...batched(messages, limit)].map((each) => WatchMessage.decode(serializeWatchMessage(each)).message);
  assert.deepEqual(
    read.map((message) => (message?.$case === "batch" ? message.batch.messages.length : 1)),
    [3, 3, 1],
  );
  const keys = read.flatMap((message) =>
    message?.$case === "batch" ? message.batch.messages.map((each) => each.message) : [message],
  );
  assert.deepEqual(
    keys.map((message) => (message?.$case === "put" ? message.put.key : "")),
    Array.from({ length: 7 }, (_, index) => `role-${index}`),
  );
});

test("a message that is longer than a batch may be goes alone", () => {
  const [first, second] = [...batched(CHANGES.slice(0, 2).map(messageOf), 1)];
  assert.deepEqual([first?.message?.$case, second?.message?.$case], ["put", "remove"]);
});

test("nothing makes no batch", () => assert.deepEqual([...batched([])], []));

test("an entry keeps its message until it has another value or none", () => {
  const entries = new EntryMessages();
  const [dev] = CHANGES;
  assert.ok(dev !== undefined);
  const first = entries.of(dev);
  assert.equal(entries.of({ ...dev }), first);
  assert.equal(first.bytes, entries.of(dev).bytes);
  const changed = { ...dev, value: { logins: [] } };
  assert.notEqual(entries.of(changed), first);
  entries.forget(changed);
  const again = entries.of(changed);
  assert.deepEqual(again.message, messageOf(changed).message);
});
