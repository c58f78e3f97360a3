import assert from "node:assert/strict";
import { test } from "node:test";
import { IncomingStream } from "./incoming-stream.js";
import { STREAM_WINDOW_BYTES } from "./wire.js";

function streamOf(more: (bytes: number) => void = () => {}): IncomingStream {
  return new IncomingStream({ more, stop() {}, silent: () => new Error("silent"), timeoutMs: 10_000 });
}

test("gives the bytes of small pieces in their order, and room for each of them once", async () => {
  let room = 0;
  const stream = streamOf((bytes) => (room += bytes));
  const sent = Buffer.from(Array.from({ length: 10_000 }, (_, index) => index % 251));
  for (const byte of sent) stream.receive(Buffer.from([byte]));
  stream.receive(Buffer.alloc(8192, 9));
  stream.finish();
  const pieces: Buffer[] = [];
  for await (const bytes of stream) pieces.push(bytes as Buffer);
  assert.deepEqual(Buffer.concat(pieces), Buffer.concat([sent, Buffer.alloc(8192, 9)]));
  assert.equal(room, sent.length + 8192);
});

test("takes pieces without bytes for nothing, and small ones together", async () => {
  const stream = streamOf();
  for (let index = 0; index < 1000; index += 1) stream.receive(index % 2 === 0 ? Buffer.alloc(0) : Buffer.from("a"));
  stream.finish();
  const pieces: string[] = [];
  for await (const bytes of stream) pieces.push(String(bytes));
  assert.deepEqual(pieces, ["a".repeat(500)]);
});

test("refuses what there is no room for, also in small pieces", () => {
  const stream = streamOf();
  const piece = Buffer.alloc(1024);
  assert.throws(() => {
    for (let sent = 0; sent <= 3 * STREAM_WINDOW_BYTES; sent += piece.length) stream.receive(piece);
  }, /room for/);
});
