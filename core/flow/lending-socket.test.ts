import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { type AddressInfo, connect, createServer } from "node:net";
import { PassThrough, Writable } from "node:stream";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { eventually } from "../../test/fixtures/eventually.js";
import { tcpPair } from "../../test/fixtures/tcp-pair.js";
import { takeBytes } from "./lending.js";
import { lendingReads, lendingSocket } from "./lending-socket.js";
import { isLent, owned } from "./lent-memory.js";
import { LentWriter } from "./lent-writer.js";

const TRANSFER_BYTES = 24 * 1024 * 1024;

test("lends the same memory again and again while much comes", async (t) => {
  const { near, far } = await tcpPair(t);
  const memories = new Set<ArrayBufferLike>();
  let read = 0;
  takeBytes(far, (bytes) => {
    assert.ok(isLent(bytes));
    memories.add(bytes.buffer);
    read += bytes.length;
  });
  near.end(Buffer.alloc(TRANSFER_BYTES));
  await once(far, "end");
  assert.equal(read, TRANSFER_BYTES);
  assert.ok(memories.size < 8, `${memories.size} memories`);
});

test("is an ordinary stream to those who do not take its bytes", async (t) => {
  const { near, far } = await tcpPair(t);
  near.write("one ");
  const [first] = (await once(far, "data")) as [Buffer];
  assert.ok(!isLent(first));
  far.pause();
  near.end("two");
  assert.equal(String(first) + (await text(far)), "one two");
});

test("hands over what was put back, and then what comes", async (t) => {
  const { near, far: socket } = await tcpPair(t, false);
  near.write("begun ");
  const begun = await new Promise<Buffer>((resolve) => socket.once("readable", () => resolve(socket.read())));
  socket.unshift(begun);
  const far = lendingSocket(socket);
  let all = "";
  takeBytes(far, (bytes) => {
    all += String(bytes);
  });
  near.end("and done");
  await once(far, "end");
  assert.equal(all, "begun and done");
});

test("a paused socket reads nothing until it is resumed", async (t) => {
  const { near, far } = await tcpPair(t);
  let read = 0;
  takeBytes(far, (bytes) => {
    read += bytes.length;
    far.pause();
  });
  near.end(Buffer.alloc(TRANSFER_BYTES));
  const before = await eventually(() => read > 0 && read);
  assert.ok(before < 1024 * 1024, `${before} bytes`);
  await sleep(50);
  assert.equal(read, before);
  far.on("pause", () => setImmediate(() => far.resume()));
  far.resume();
  await once(far, "end");
  assert.equal(read, TRANSFER_BYTES);
});

for (const [speed, wait] of [
  ["as fast as it can", 0],
  ["slowly", 1],
] as const)
  test(`passes every byte on, in order, to a reader that reads ${speed}`, async (t) => {
    const [left, right] = [await tcpPair(t), await tcpPair(t)];
    const writer = new LentWriter(
      right.near,
      () => left.far.pause(),
      () => left.far.resume(),
    );
    takeBytes(left.far, (bytes) => {
      // In pieces of all sizes, as packets are.
      for (let start = 0; start < bytes.length; start += 30_011) writer.write(bytes.subarray(start, start + 30_011));
    });
    left.far.once("end", () => {
      writer.flush();
      right.near.end();
    });
    const [sent, received] = [createHash("sha256"), createHash("sha256")];
    right.far.on("data", (chunk: Buffer) => {
      received.update(chunk);
      if (wait === 0) return;
      right.far.pause();
      setTimeout(() => right.far.resume(), wait);
    });
    const chunk = randomBytes(100_003);
    for (let bytes = 0; bytes < TRANSFER_BYTES; bytes += chunk.length) {
      sent.update(chunk);
      if (!left.near.write(chunk)) await once(left.near, "drain");
    }
    left.near.end();
    await once(right.far, "end");
    assert.equal(received.digest("hex"), sent.digest("hex"));
  });

test("a writer that is behind holds bytes of its own, and says when there is room", async () => {
  const written: string[] = [];
  let go: () => void = () => undefined;
  const target = new Writable({
    write: (chunk, _encoding, done) => {
      written.push(String(chunk));
      go = done;
    },
  });
  const said: string[] = [];
  const writer = new LentWriter(
    target,
    () => said.push("behind"),
    () => said.push("room"),
  );
  writer.write(Buffer.from("a"));
  writer.write(Buffer.from("b"));
  assert.deepEqual([written, said], [["a"], ["behind"]]);
  go();
  await new Promise(setImmediate);
  go();
  await new Promise(setImmediate);
  assert.deepEqual(
    [written, said],
    [
      ["a", "b"],
      ["behind", "room"],
    ],
  );
});

test("what is small leaves at once, and never before what waits", async (t) => {
  const { near, far } = await tcpPair(t);
  const room: string[] = [];
  const writer = new LentWriter(
    far,
    () => room.push("behind"),
    () => room.push("room"),
  );
  writer.write(Buffer.from("small "));
  assert.equal(far.writableLength, 0);
  assert.equal(String((await once(near, "data"))[0]), "small ");
  near.pause();
  const large = randomBytes(TRANSFER_BYTES);
  writer.write(large);
  writer.flush();
  writer.write(Buffer.from("then small"));
  assert.ok(far.writableLength > 0);
  far.end();
  const received: Buffer[] = [];
  for await (const chunk of near) received.push(chunk as Buffer);
  assert.ok(Buffer.concat(received).equals(Buffer.concat([large, Buffer.from("then small")])));
  assert.deepEqual(room, ["behind", "room"]);
});

test("a small write to a peer that is gone fails as streams do", async (t) => {
  const { near, far } = await tcpPair(t);
  const failed = new Promise<Error>((resolve) => far.once("error", resolve));
  const writer = new LentWriter(
    far,
    () => undefined,
    () => undefined,
  );
  near.resetAndDestroy();
  const writing = setInterval(() => writer.write(Buffer.from("?")), 5);
  assert.match((await failed).message, /EPIPE|ECONNRESET/);
  clearInterval(writing);
});

test("a stream that cannot lend gives chunks of its own", async () => {
  const source = new PassThrough();
  const taken: Buffer[] = [];
  takeBytes(source, (bytes) => taken.push(owned(bytes)));
  source.end("whole");
  await once(source, "end");
  assert.equal(Buffer.concat(taken).toString(), "whole");
});

test("a connection that was dialled lends as well, and goes back to small memory after a transfer", async (t) => {
  const server = createServer((socket) => {
    socket.write(Buffer.alloc(TRANSFER_BYTES));
    socket.on("data", () => socket.write("x")).on("error", () => undefined);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  const { memory, onread, attach } = lendingReads();
  const socket = connect({ port: (server.address() as AddressInfo).port, host: "127.0.0.1", onread });
  attach(socket);
  let largest = 0;
  let last = 0;
  let read = 0;
  await new Promise<void>((resolve) =>
    takeBytes(socket, (bytes) => {
      largest = Math.max(largest, memory.area.length);
      read += bytes.length;
      last = memory.area.length;
      if (read === TRANSFER_BYTES + 40) resolve();
      else if (read >= TRANSFER_BYTES) socket.write("?");
    }),
  );
  socket.destroy();
  assert.ok(largest > 200_000 && last < 10_000, `${largest}, then ${last}`);
});
