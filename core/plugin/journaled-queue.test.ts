import assert from "node:assert/strict";
import { appendFileSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { needsSmallDisk, SmallDisk } from "../../test/fixtures/small-disk.js";
import { JournaledQueue } from "./journaled-queue.js";

interface Item {
  readonly text: string;
}

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "mezite-queue-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

test("items come out in their order, also by another process, and each until it is taken off", () => {
  const queue = open();
  for (const text of ["a", "b", "c"]) assert.equal(queue.add({ text }), true);
  queue.remove(1);
  assert.deepEqual(queue.first(5), [{ text: "b" }, { text: "c" }]);
  assert.deepEqual(open().first(5).slice(-2), [{ text: "b" }, { text: "c" }]);
});

test("nobody else reads the file", () => {
  open();
  assert.equal(statSync(join(folder, "queue")).mode & 0o777, 0o600);
});

test("a full queue takes nothing more until something is taken off", () => {
  const queue = open(folder, 40);
  assert.deepEqual(
    ["one", "two", "three"].map((text) => queue.add({ text })),
    [true, true, false],
  );
  queue.remove(1);
  assert.equal(queue.add({ text: "three" }), true);
});

test("a line that a crash cut short is dropped, and what follows is kept", () => {
  open().add({ text: "whole" });
  appendFileSync(join(folder, "queue"), '{"text":"ha');
  const queue = open();
  queue.add({ text: "next" });
  assert.deepEqual(open().first(5), [{ text: "whole" }, { text: "next" }]);
});

test("what a full disk cut short spoils nothing that is added later", needsSmallDisk(), () => {
  const disk = new SmallDisk(folder, 64 * 1024);
  try {
    const queue = open();
    queue.add({ text: "before" });
    disk.fill();
    assert.throws(() => queue.add({ text: "x".repeat(10_000) }), /ENOSPC/);
    disk.empty();
    queue.add({ text: "after" });
    assert.deepEqual([queue.size, open().first(5)], [2, [{ text: "before" }, { text: "after" }]]);
    assert.equal(readFileSync(join(folder, "queue"), "utf8").split("\n").length, 3);
  } finally {
    disk.unmount();
  }
});

// --- internal ---

function open(parent = folder, maxBytes = 1_000_000): JournaledQueue<Item> {
  const queue = new JournaledQueue<Item>({
    path: join(parent, "queue"),
    maxBytes,
    parse: (value) => (typeof value === "object" && value !== null && "text" in value ? (value as Item) : null),
  });
  queue.open();
  return queue;
}
