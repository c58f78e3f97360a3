import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import type { Duplex } from "node:stream";
import { afterEach, beforeEach, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { closing, STREAM_INFO, TunnelTestBed } from "../../test/fixtures/tunnel-pair.js";
import { MezError } from "../errors/error.js";

const BUFFER_BYTES = 32 * 1024 * 1024; // more than the kernel holds for one connection

for (const encryption of ["tls", "ssh"] as const)
  describe(`a stream with session encryption ${encryption}`, () => {
    let bed: TunnelTestBed;
    beforeEach(async () => {
      bed = await TunnelTestBed.open({}, encryption);
    });
    afterEach(() => bed.dispose());

    test("carries large data both ways at once, byte for byte", async () => {
      const { near, far } = await bed.pair();
      const chunk = randomBytes(100_003);
      const results = await Promise.all([send(near, chunk, 200), send(far, chunk, 200), digest(near), digest(far)]);
      const [sentNear, sentFar, readNear, readFar] = results;
      assert.equal(readFar, sentNear);
      assert.equal(readNear, sentFar);
    });

    test("keeps the other direction open after one has ended", async () => {
      const { near, far } = await bed.pair();
      near.end("question");
      assert.equal(await text(far), "question");
      far.end("answer");
      assert.equal(await text(near), "answer");
      assert.equal(await closing(near), null);
      assert.equal(await closing(far), null);
    });

    test("keeps the way to the node open after the node has ended", async () => {
      const { near, far } = await bed.pair();
      far.end("farewell");
      assert.equal(await text(near), "farewell");
      near.end("late words");
      assert.equal(await text(far), "late words");
    });

    test("frees the connection when it is given up while one direction ends", async () => {
      const connections = () => process.getActiveResourcesInfo().filter((name) => name === "TCPSocketWrap").length;
      await bed.connectedAgent((far) => far.resume().once("end", () => setTimeout(() => far.end(), 100)));
      const before = connections();
      for (let count = 0; count < 5; count += 1) {
        const near = await bed.open();
        near.write("farewell");
        await sleep(20);
        near.end();
        process.nextTick(() => near.destroy());
        await closing(near);
      }
      while (connections() > before) await sleep(10);
    });

    test("stops a fast writer while the reader sleeps", async () => {
      const { near, far } = await bed.pair();
      let accepted = 0;
      const chunk = Buffer.alloc(65_536);
      while (accepted < BUFFER_BYTES) {
        if (near.writableNeedDrain && (await Promise.race([once(near, "drain"), sleep(200, "stuck")])) === "stuck") break;
        near.write(chunk);
        accepted += chunk.length;
      }
      assert.ok(accepted < BUFFER_BYTES, "a reader that sleeps took everything");
      near.end();
      let read = 0;
      far.on("data", (data: Buffer) => {
        read += data.length;
      });
      await once(far, "end");
      assert.equal(read, accepted);
    });

    test("a stalled stream does not hold up another of the same tunnel", async () => {
      const ends: Duplex[] = [];
      await bed.connectedAgent((stream) => void ends.push(stream));
      const stalled = await Promise.all(Array.from({ length: 6 }, () => bed.open()));
      for (const stream of stalled) stream.write(Buffer.alloc(8 * 1024 * 1024));
      const near = await bed.open();
      near.end("through");
      assert.equal(await text(ends.at(-1) as Duplex), "through");
      for (const stream of stalled) stream.destroy();
    });

    for (const side of ["near", "far"] as const) {
      test(`a destroyed ${side} end reaches the other as a reset, not as an end`, async () => {
        const pair = await bed.pair();
        const [gone, left] = side === "near" ? [pair.near, pair.far] : [pair.far, pair.near];
        gone.write("some");
        await once(left, "data");
        gone.destroy();
        assert.equal(await closing(gone), null);
        const failure = await closing(left);
        assert.ok(failure instanceof MezError && failure.code === "TUNNEL_STREAM_RESET", String(failure));
        assert.equal(left.readableEnded, false);
      });
    }

    test("an agent that goes away ends its streams with an error", async () => {
      const { near, far, agent } = await bed.pair();
      far.write("some");
      await once(near, "data");
      const failure = closing(near);
      await agent.dispose();
      const error = await failure;
      assert.ok(error instanceof MezError && error.code === "TUNNEL_STREAM_RESET", String(error));
    });

    test("a disconnected node loses its streams, with the reason", async () => {
      const { near, far } = await bed.pair();
      far.resume();
      const failures = Promise.all([closing(near), closing(far)]);
      bed.directory.disconnect(STREAM_INFO.nodeName, "the node was removed");
      const [nearError, farError] = await failures;
      assert.equal(nearError?.message, "the node was removed");
      assert.ok(farError instanceof MezError && farError.code === "TUNNEL_STREAM_RESET", String(farError));
    });

    test("a disconnected node may have a while for its streams, but not for new ones", async () => {
      const { near, far } = await bed.pair();
      far.resume();
      bed.directory.disconnect(STREAM_INFO.nodeName, "the node was locked", 100);
      near.write("farewell");
      await once(far, "data");
      assert.equal((await closing(near))?.message, "the node was locked");
    });

    test("an error given to destroy comes out as it went in", async () => {
      const { near } = await bed.pair();
      const reason = new MezError("ACCESS_DENIED", "the session was terminated");
      near.destroy(reason);
      assert.equal(await closing(near), reason);
    });

    test("serves a hundred streams at once", async () => {
      await bed.connectedAgent((stream) => void stream.pipe(stream));
      const streams: Duplex[] = [];
      // Each is begun within seconds or not at all, which a hundred handshakes of TLS may take.
      while (streams.length < 100) streams.push(...(await Promise.all(Array.from({ length: 10 }, () => bed.open()))));
      const echoes = streams.map(async (stream, index) => {
        const sent = send(stream, Buffer.alloc(10_000, index), 20);
        assert.equal(await digest(stream), await sent);
      });
      await Promise.all(echoes);
    });
  });

// --- internal ---

async function send(stream: Duplex, chunk: Buffer, times: number): Promise<string> {
  const hash = createHash("sha256");
  for (let count = 0; count < times; count += 1) {
    hash.update(chunk);
    if (!stream.write(chunk)) await once(stream, "drain");
  }
  stream.end();
  return hash.digest("hex");
}

async function digest(stream: Duplex): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of stream.iterator({ destroyOnReturn: false })) hash.update(chunk);
  return hash.digest("hex");
}

async function text(stream: Duplex): Promise<string> {
  let all = "";
  for await (const chunk of stream.iterator({ destroyOnReturn: false })) all += String(chunk);
  return all;
}
