import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { closeSync } from "node:fs";
import { test } from "node:test";
import { takeBytes } from "./lending.js";
import { lendingPipe } from "./lending-socket.js";
import { openWidePipe, type WidePipe } from "./wide-pipe.js";

test("holds a megabyte without a reader", async () => {
  const { readEnd, writeEnd } = open();
  const child = spawn("head", ["-c", "1000000", "/dev/zero"], { stdio: ["ignore", writeEnd, "ignore"] });
  closeSync(writeEnd);
  assert.deepEqual(await once(child, "exit"), [0, null]);
  closeSync(readEnd);
});

test("is read in large pieces while a program writes small ones, and to the end", async () => {
  const { readEnd, writeEnd } = open();
  const script = "i=0; while [ $i -lt 400 ]; do head -c 50000 /dev/zero; i=$((i+1)); done; printf end";
  const child = spawn("sh", ["-c", script], { stdio: ["ignore", writeEnd, "ignore"] });
  closeSync(writeEnd);
  const pipe = lendingPipe(readEnd);
  const hash = createHash("sha256");
  takeBytes(pipe, (bytes) => void hash.update(bytes));
  await Promise.all([once(pipe, "close"), once(child, "exit")]);
  assert.equal(hash.digest("hex"), createHash("sha256").update(Buffer.alloc(20_000_000)).update("end").digest("hex"));
});

test("tells at once what a program says in few words", async () => {
  const { readEnd, writeEnd } = open();
  const child = spawn("sh", ["-c", "echo ready; cat"], { stdio: ["pipe", writeEnd, "ignore"] });
  closeSync(writeEnd);
  const pipe = lendingPipe(readEnd);
  const said = new Promise<string>((resolve) => takeBytes(pipe, (bytes) => resolve(String(bytes))));
  assert.equal(await said, "ready\n");
  child.stdin?.end();
  await once(pipe, "close");
});

// --- internal ---

function open(): WidePipe {
  const pipe = openWidePipe();
  assert.ok(pipe !== null, "this system has no wide pipes");
  return pipe;
}
