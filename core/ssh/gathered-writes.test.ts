import assert from "node:assert/strict";
import { Writable } from "node:stream";
import { test } from "node:test";
import { GatheredWrites } from "./gathered-writes.js";

function recorder(): { readonly socket: Writable; readonly writes: number[] } {
  const writes: number[] = [];
  const socket = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      writes.push(chunk.length);
      done();
    },
    writev: (chunks, done) => {
      writes.push(chunks.reduce((sum, { chunk }) => sum + (chunk as Buffer).length, 0));
      done();
    },
  });
  return { socket, writes };
}

function send(gathered: GatheredWrites, socket: Writable, lengths: readonly number[]): void {
  for (const length of lengths) {
    gathered.expect(length);
    socket.write(Buffer.alloc(length));
  }
}

test("sends small packets at once, each by itself", () => {
  const { socket, writes } = recorder();
  send(new GatheredWrites(socket), socket, [40, 40]);
  assert.deepEqual(writes, [40, 40]);
});

test("sends large packets, and what follows them, in one write when the code that made them is done", async () => {
  const { socket, writes } = recorder();
  send(new GatheredWrites(socket), socket, [32_768, 32_768, 40]);
  assert.deepEqual(writes, []);
  await new Promise(setImmediate);
  assert.deepEqual(writes, [65_576]);
});

test("holds no more than a bounded number of bytes", () => {
  const { socket, writes } = recorder();
  send(
    new GatheredWrites(socket),
    socket,
    Array.from({ length: 20 }, () => 32_768),
  );
  assert.deepEqual(writes, [262_144, 262_144]);
});

test("sends what it holds when it is told to", () => {
  const { socket, writes } = recorder();
  const gathered = new GatheredWrites(socket);
  send(gathered, socket, [8_192]);
  gathered.flush();
  assert.deepEqual(writes, [8_192]);
});
