import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { SqliteStorageDriver } from "../../plugins/storage/sqlite/sqlite-driver.js";
import type { EventType } from "../plugin/contract.js";
import { type OpenDatabase, openDatabase } from "../storage/database.js";
import { systemClock } from "../time/clock.js";
import type { OutboxRow } from "./outbox.js";

const TICK: EventType<number> = { name: "tick", version: 2 };
let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "mezite-outbox-"));
});
after(() => rm(folder, { recursive: true }));

async function open(received: OutboxRow[]): Promise<OpenDatabase> {
  return openDatabase({
    driver: new SqliteStorageDriver(join(folder, "mezite.db")),
    plugins: [],
    sinks: () => [],
    clock: systemClock,
    clusterName: "test",
    logger: { debug() {}, info() {}, warn() {}, error() {} },
    onCommitted: (rows) => received.push(...rows),
  });
}

test("what was not delivered is found by the next process, in order, and numbers are never used twice", async () => {
  const first: OutboxRow[] = [];
  let db = await open(first);
  for (let tick = 1; tick <= 3; tick += 1) await db.database.transaction(async (tx) => tx.emit(TICK, tick));
  assert.deepEqual(
    first.map((row) => [row.seq, row.topic, row.key, row.payload, row.removed]),
    [1, 2, 3].map((n) => [n, "event:tick@2", null, n, false]),
  );
  db.outbox.delivered(first.slice(0, 1));
  await db.close();

  const second: OutboxRow[] = [];
  db = await open(second);
  assert.deepEqual(await db.outbox.pending(), first.slice(1));
  db.outbox.delivered(first.slice(1));
  await db.database.transaction(async (tx) => tx.emit(TICK, 4));
  assert.deepEqual(await db.outbox.pending(), second);
  assert.equal(second[0]?.seq, 4);
  await db.close();
});
