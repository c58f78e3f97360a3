import assert from "node:assert/strict";
import { test } from "node:test";
import { eventually } from "../../test/fixtures/eventually.js";
import { silentLogger } from "../../test/fixtures/silent-logger.js";
import { writeNote } from "./commit-note.js";
import { OutboxPoll } from "./outbox-poll.js";

const SERVER = "0d9b2f4e-7c1a-4f0e-9a34-2b6f5d8c1e77";

/** A poll that asks by itself once an hour, and has looked once. */
async function startPoll() {
  const state = { seen: 0, isWriting: false, looks: 0 };
  let tell = (_note: string): void => {};
  const poll = new OutboxPoll({
    look: async () => {
      state.looks += 1;
    },
    hasSeen: ({ seq }) => seq <= state.seen,
    isWriting: () => state.isWriting,
    shared: {
      listen: (onChange) => {
        tell = onChange;
        return async () => {};
      },
    },
    logger: silentLogger,
    everyMs: 3_600_000,
  });
  await poll.start();
  return { state, poll, told: (seq: number) => tell(writeNote({ seq, server: SERVER })), toldNothing: () => tell("") };
}

test("looks when it is told of a commit that it does not know, or of something that it cannot read", async () => {
  const { state, poll, told, toldNothing } = await startPoll();
  state.seen = 5;
  told(5);
  await poll.stop();
  assert.equal(state.looks, 1);
  told(6);
  await eventually(() => state.looks === 2);
  await poll.stop();
  toldNothing();
  await poll.stop();
  assert.equal(state.looks, 3);
});

test("leaves the look to a transaction under way, and looks when that has not seen the last commit it was told of", async () => {
  const { state, poll, told } = await startPoll();
  state.isWriting = true;
  told(1);
  told(2);
  state.seen = 1;
  assert.equal(state.looks, 1);
  await eventually(() => state.looks === 2);
  await poll.stop();
});
