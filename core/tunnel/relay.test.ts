import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { test } from "node:test";
import { lendingSocket } from "../flow/lending-socket.js";
import { relay } from "./relay.js";

test("copies both ways, and each end is passed on by itself", async () => {
  const [left, right] = [await socketPair(), await socketPair()];
  left.inner.pause();
  const done = relay(left.inner, right.inner);
  const sent = randomBytes(3_000_000);
  left.outer.end(sent);
  assert.deepEqual(await everything(right.outer), sent);
  right.outer.end("answer");
  assert.equal(String(await everything(left.outer)), "answer");
  assert.equal(await done, null);
});

test("tells of what comes from either side", async () => {
  const [left, right] = [await socketPair(), await socketPair()];
  let pieces = 0;
  const done = relay(left.inner, lendingSocket(right.inner), () => {
    pieces += 1;
  });
  left.outer.write("question");
  await once(right.outer, "data");
  assert.equal(pieces, 1);
  right.outer.end("answer");
  await once(left.outer, "data");
  assert.equal(pieces, 2);
  left.outer.end();
  await done;
});

test("destroys the other side when one breaks", async () => {
  const [left, right] = [await socketPair(), await socketPair()];
  const done = relay(left.inner, right.inner);
  const gone = once(right.outer.resume(), "close").catch(() => undefined);
  left.outer.resetAndDestroy();
  assert.match(String(await done), /ECONNRESET/);
  right.outer.destroy();
  await gone;
});

test("stops reading while the other side does not take more", async () => {
  const [left, right] = [await socketPair(), await socketPair()];
  const done = relay(left.inner, right.inner);
  const block = Buffer.alloc(1024 * 1024);
  for (let count = 0; count < 64; count += 1) left.outer.write(block);
  while (!left.inner.isPaused()) await new Promise((resolve) => setImmediate(resolve));
  assert.ok(right.inner.writableLength < 8 * block.length, `${right.inner.writableLength} bytes are held`);
  left.outer.end();
  assert.equal((await everything(right.outer)).length, 64 * block.length);
  right.outer.end();
  left.outer.resume();
  assert.equal(await done, null);
});

// --- internal ---

async function socketPair(): Promise<{ inner: Socket; outer: Socket }> {
  const server = createServer({ allowHalfOpen: true });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const outer = connect({ port: typeof address === "object" ? (address?.port ?? 0) : 0, host: "127.0.0.1", allowHalfOpen: true });
  const [inner] = await once(server, "connection");
  server.close();
  return { inner, outer };
}

async function everything(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  await once(socket, "end");
  return Buffer.concat(chunks);
}
