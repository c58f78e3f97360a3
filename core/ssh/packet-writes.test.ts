import assert from "node:assert/strict";
import { Writable } from "node:stream";
import { test } from "node:test";
import { lendDuring } from "../flow/lent-memory.js";
import { slabPacket } from "./packet-slab.js";
import { PacketWrites } from "./packet-writes.js";

/** A socket whose writes end at once, or when told to. */
function recorder(isSlow = false) {
  const pieces: Buffer[] = [];
  const firstBytes: (number | undefined)[] = [];
  let finish: () => void = () => undefined;
  const take = (chunks: readonly Buffer[], done: () => void) => {
    pieces.push(chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks));
    firstBytes.push(chunks[0]?.[0]);
    if (isSlow) finish = done;
    else done();
  };
  const socket = new Writable({
    highWaterMark: 1024,
    write: (chunk: Buffer, _encoding, done) => take([chunk], done),
    writev: (chunks, done) =>
      take(
        chunks.map(({ chunk }) => chunk as Buffer),
        done,
      ),
  });
  const writes = new PacketWrites(socket, (data) => void socket.write(data));
  return {
    pieces,
    firstBytes,
    sizes: () => pieces.map(({ length }) => length),
    socket,
    writes,
    finish: () => {
      const done = finish;
      finish = () => undefined;
      done();
    },
  };
}

const lender = { memory: new ArrayBuffer(0), keep: () => () => undefined };

function packet(length: number, fill = 0): Buffer {
  return (slabPacket(length) ?? Buffer.alloc(length)).fill(fill);
}

test("sends small packets at once, each by itself", () => {
  const { writes, sizes } = recorder();
  writes.write(packet(40));
  writes.write(packet(40));
  assert.deepEqual(sizes(), [40, 40]);
});

test("sends large packets, and what follows them, in one write when the code that made them is done", async () => {
  const { writes, sizes } = recorder();
  for (const length of [32_768, 32_768, 40]) writes.write(packet(length));
  assert.deepEqual(sizes(), []);
  await new Promise(setImmediate);
  assert.deepEqual(sizes(), [65_576]);
});

test("holds no more than a bounded number of bytes", () => {
  const { writes, sizes } = recorder();
  for (let count = 0; count < 20; count += 1) writes.write(packet(32_768));
  assert.deepEqual(sizes(), [262_144, 262_144]);
});

for (const [what, end] of [
  ["it is told to", (writes: PacketWrites) => writes.flush()],
  ["the connection is ended", (_writes: PacketWrites, socket: Writable) => socket.end()],
] as const)
  test(`sends what it holds when ${what}`, () => {
    const { writes, socket, sizes } = recorder();
    writes.write(packet(8_192));
    end(writes, socket);
    assert.deepEqual(sizes(), [8_192]);
  });

test("sends all packets of one read in one write, small ones too, and makes the next ones in the same memory", () => {
  const { writes, pieces, firstBytes, sizes } = recorder();
  for (const fill of [1, 2])
    lendDuring(lender, () => {
      for (const length of [40, 32_768, 40]) writes.write(packet(length, fill));
      assert.equal(sizes().length, fill - 1);
    });
  assert.deepEqual(sizes(), [32_848, 32_848]);
  assert.deepEqual(firstBytes, [1, 2]);
  assert.equal(pieces[0]?.buffer, pieces[1]?.buffer);
});

test("keeps the order when two connections and packets of their own memory come in between", () => {
  const [left, right] = [recorder(), recorder()];
  lendDuring(lender, () => {
    left.writes.write(packet(100, 1));
    right.writes.write(packet(100, 7));
    left.writes.write(packet(100, 2));
    left.writes.write(Buffer.alloc(5_000, 3));
    left.writes.write(packet(100, 4));
  });
  const seen = Buffer.concat(left.pieces);
  assert.deepEqual([seen[0], seen[100], seen[200], seen[5_200], seen.length], [1, 2, 3, 4, 5_300]);
  assert.deepEqual(Buffer.concat(right.pieces), Buffer.alloc(100, 7));
});

test("leaves memory alone that a slow connection has not sent yet", async () => {
  const slow = recorder(true);
  const quick = recorder();
  lendDuring(lender, () => slow.writes.write(packet(50_000, 1)));
  for (let count = 0; count < 20; count += 1) {
    lendDuring(lender, () => {
      quick.writes.write(packet(50_000, 2));
      slow.writes.write(packet(100, 3));
    });
  }
  assert.ok((slow.pieces[0] as Buffer).every((byte) => byte === 1));
  for (let count = 0; count < 30; count += 1) {
    slow.finish();
    await new Promise(setImmediate);
  }
  assert.ok(slow.pieces.slice(1).every((piece) => piece.every((byte) => byte === 3)));
});
