import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { isMezError } from "../../../core/errors/error.js";
import { listenForWorkloads } from "./workload-socket.js";

const LISTEN = "require('node:net').createServer().listen(process.argv[1], () => console.log('up'))";

let folder: string;
let path: string;
const open: { close(): Promise<void> }[] = [];
beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), "mezite-socket-")));
  path = join(folder, "w.sock");
});
afterEach(async () => {
  for (const listener of open.splice(0)) await listener.close();
  rmSync(folder, { recursive: true, force: true });
});

test("makes the folder, sets the mode, and removes the socket at the end", async () => {
  path = join(folder, "a", "b", "w.sock");
  const listener = await listenForWorkloads({ path, mode: 0o660 }, () => {});
  assert.deepEqual([statSync(path).mode & 0o777, statSync(join(folder, "a")).mode & 0o777], [0o660, 0o755]);
  await listener.close();
  assert.equal(existsSync(path), false);
});

test("replaces the socket of a process that was killed", async () => {
  const child = spawn(process.execPath, ["-e", LISTEN, path], { stdio: ["ignore", "pipe", "inherit"] });
  await once(child.stdout, "data");
  await assert.rejects(listen(), isTaken);
  const ended = once(child, "exit");
  child.kill("SIGKILL");
  await ended;
  assert.ok(lstatSync(path).isSocket());
  await listen();
  await reach();
});

test("leaves a second daemon at the same socket with a clear error, and goes on", async () => {
  await listen();
  await assert.rejects(listen(), isTaken);
  const alias = join(folder, "alias");
  symlinkSync(folder, alias);
  await assert.rejects(listen(join(alias, "w.sock")), isTaken);
  await reach();
});

for (const [what, make] of [
  ["a file", () => writeFileSync(path, "precious")],
  ["a folder", () => mkdirSync(path)],
  ["a link to a folder", () => symlinkSync(folder, path)],
  ["a link that leads nowhere", () => symlinkSync(join(folder, "nowhere"), path)],
  ["a pipe", () => spawnSync("mkfifo", [path])],
] as const) {
  test(`does not replace ${what}`, async () => {
    make();
    const before = lstatSync(path).ino;
    await assert.rejects(listen(), (error) => isMezError(error, "ADDRESS_IN_USE", "ADDRESS_UNUSABLE"));
    assert.equal(lstatSync(path).ino, before);
  });
}

test("refuses a folder where others can put another socket", async () => {
  for (const [mode, message] of [
    [0o777, /others can write to .* \(mode 777\)/],
    [0o757, /others can write to/],
  ] as const) {
    chmodSync(folder, mode);
    await assert.rejects(listen(), unusable(message));
    await assert.rejects(listen(join(folder, "below", "w.sock")), unusable(message));
  }
  chmodSync(folder, 0o1777);
  await listen();
});

test("refuses a folder of another user", async (t) => {
  if (process.getuid?.() !== 0) return t.diagnostic("needs root: a folder cannot be given away otherwise");
  chownSync(folder, 65534, 65534);
  await assert.rejects(listen(), unusable(/belongs to user id 65534/));
  chownSync(folder, 0, 4242);
  chmodSync(folder, 0o775);
  await assert.rejects(listen(), unusable(/others can write to/));
});

test("says what is wrong with a place where nothing can be made", async () => {
  writeFileSync(join(folder, "file"), "");
  await assert.rejects(listen(join(folder, "file", "w.sock")), unusable(/cannot listen on/));
});

// --- internal ---

async function listen(at = path): Promise<void> {
  open.push(await listenForWorkloads({ path: at, mode: 0o666 }, (socket) => socket.end()));
}

async function reach(): Promise<void> {
  const socket = connect(path).resume();
  await once(socket, "close");
}

function isTaken(error: unknown): boolean {
  return isMezError(error, "ADDRESS_IN_USE") && error.message.includes("is taken by another process or file");
}

function unusable(message: RegExp): (error: unknown) => boolean {
  return (error) => isMezError(error, "ADDRESS_UNUSABLE") && message.test(error.message);
}
