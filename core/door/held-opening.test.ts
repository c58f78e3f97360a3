import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { afterEach, beforeEach, test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { eventually } from "../../test/fixtures/eventually.js";
import { HeldOpening } from "./held-opening.js";

/** More than a TLS client sends before it is answered. */
const TOO_MANY_BYTES = 16 * 1024 + 1;

let client: Socket;
let socket: Socket;

beforeEach(async () => {
  const server = createServer({ pauseOnConnect: true, allowHalfOpen: true }).listen(0, "127.0.0.1");
  await once(server, "listening");
  client = connect((server.address() as { port: number }).port, "127.0.0.1").on("error", () => {});
  [socket] = (await once(server, "connection")) as [Socket];
  server.close();
});
afterEach(() => {
  client.destroy();
  socket.destroy();
});

test("puts back what had been read and what came while it waited, in order", async () => {
  const opening = new HeldOpening(socket, Buffer.from("read, "));
  for (const piece of ["came, ", "came later"]) {
    client.write(piece);
    await eventually(() => socket.bytesRead === client.bytesWritten && socket.readableLength === 0);
  }
  opening.release();
  assert.equal(String(socket.read()), "read, came, came later");
});

test("closes a client that leaves", async () => {
  new HeldOpening(socket);
  client.end();
  await once(socket, "close");
});

test("closes a client that says more than the opening", async () => {
  new HeldOpening(socket, Buffer.alloc(10));
  client.write(Buffer.alloc(TOO_MANY_BYTES - 10));
  await once(socket, "close");
});

test("has no part in it once somebody has begun: a client may then say as much as it likes, and wait for the answer to its end", async () => {
  const opening = new HeldOpening(socket, Buffer.alloc(10));
  opening.release();
  let bytes = 0;
  socket.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
  });
  for (const round of [1, 2, 3]) {
    client.write(Buffer.alloc(TOO_MANY_BYTES));
    await eventually(() => socket.destroyed || bytes === 10 + round * TOO_MANY_BYTES);
  }
  socket.on("end", () => socket.end("answer"));
  client.end();
  const [answer] = await Promise.race([once(client, "data"), once(client, "close")]);
  assert.equal(String(answer), "answer");
  assert.equal(bytes, 10 + 3 * TOO_MANY_BYTES);
});

test("keeps nothing of the opening once it was put back, however long it is kept itself", async () => {
  const kept: HeldOpening[] = [];
  const opening = (() => {
    const read = Buffer.alloc(TOO_MANY_BYTES - 1, "x");
    kept.push(new HeldOpening(socket, read));
    return new WeakRef(read);
  })();
  kept[0]?.release();
  assert.equal(socket.read()?.length, TOO_MANY_BYTES - 1);
  await eventually(() => {
    collectGarbage();
    return opening.deref() === undefined;
  });
  assert.equal(kept.length, 1);
});

// --- internal ---

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;
