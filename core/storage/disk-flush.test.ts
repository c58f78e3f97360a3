import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, suite, test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { defineEntity, p } from "@mikro-orm/core";
import { Migration } from "@mikro-orm/migrations";
import { SqliteStorageDriver } from "../../plugins/storage/sqlite/sqlite-driver.js";
import { eventually } from "../../test/fixtures/eventually.js";
import { silentLogger } from "../../test/fixtures/silent-logger.js";
import { isMezError, MezError } from "../errors/error.js";
import type { EventType } from "../plugin/contract.js";
import { systemClock } from "../time/clock.js";
import { type OpenDatabase, openDatabase } from "./database.js";

const Note = defineEntity({ name: "FlushedNote", tableName: "flushed_notes", properties: { name: p.text().primary() } });

class CreateNotes extends Migration {
  override up(): void {
    this.addSql("create table flushed_notes (name text primary key)");
  }
}

class CreateMore extends Migration {
  override up(): void {
    this.addSql("create table flushed_more (name text primary key)");
  }
}

const WRITTEN: EventType<string> = { name: "written", version: 1 };

/** SQLite on a disk that takes its time, and that may fail. */
class SlowDisk extends SqliteStorageDriver {
  flushes = 0;
  upkeeps = 0;
  /** What each flush waits for; they end at once when it is `null`. */
  held: PromiseWithResolvers<void> | null = null;
  upkeepHeld: PromiseWithResolvers<void> | null = null;

  override async flush(): Promise<void> {
    this.flushes += 1;
    await this.held?.promise;
    await super.flush();
  }

  override async upkeep(): Promise<void> {
    this.upkeeps += 1;
    await this.upkeepHeld?.promise;
  }
}

suite("a commit that the disk does not have yet", () => {
  let folder: string;
  let disk: SlowDisk;
  let opened: OpenDatabase;
  let announced: unknown[];
  let failures: MezError[];
  /** What was told, in its order. */
  let told: string[];

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "mezite-flush-"));
    disk = new SlowDisk(join(folder, "mezite.db"));
    [announced, failures, told] = [[], [], []];
    opened = await openDatabase({
      driver: disk,
      plugins: [{ id: "notes", entities: [Note], migrations: [{ name: "001", class: CreateNotes }] }],
      sinks: () => [],
      clock: systemClock,
      clusterName: "flush",
      logger: silentLogger,
      onCommitted: (rows) => announced.push(...rows.map(({ payload }) => payload)),
      onFlushFailed: (failure) => failures.push(failure),
    });
    disk.flushes = 0;
  });
  afterEach(async () => {
    disk.held?.resolve();
    await opened.close();
    await rm(folder, { recursive: true });
  });

  const tell = (what: string, promise: Promise<unknown>): Promise<void> =>
    promise.then(
      () => void told.push(what),
      (error: unknown) => void told.push(`${what}: ${isMezError(error) ? error.code : "unknown"}`),
    );
  const write = (name: string): Promise<void> =>
    tell(
      name,
      opened.database.transaction(async (tx) => {
        await tx.em.insert(Note, { name });
        tx.emit(WRITTEN, name);
      }),
    );
  const count = (): Promise<number> => opened.database.read((em) => em.count(Note));
  const hold = (): PromiseWithResolvers<void> => {
    disk.held = Promise.withResolvers<void>();
    return disk.held;
  };
  /** Long enough for whatever does not wait. */
  const turns = async (): Promise<void> => {
    for (let turn = 0; turn < 50; turn += 1) await nextTurn();
  };

  test("is told to nobody: not to the caller, not as an event, not to a reader, whatever that has found", async () => {
    const held = hold();
    const writing = write("a");
    await eventually(async () => disk.flushes === 1);
    const reading = tell("read", count());
    const refused = tell(
      "refused",
      opened.database.read(async (em) => {
        throw new MezError(`${(await em.count(Note)) === 1 ? "ALREADY_EXISTS" : "NOT_FOUND"}`, "seen");
      }),
    );
    await turns();
    assert.deepEqual([told, announced], [[], []]);
    held.resolve();
    await Promise.all([writing, reading, refused]);
    assert.deepEqual(announced, ["a"]);
    assert.deepEqual([...told].sort(), ["a", "read", "refused: ALREADY_EXISTS"]);
  });

  test("is not told to a reader who began before it either", async () => {
    const held = hold();
    const goOn = Promise.withResolvers<void>();
    const reading = tell(
      "read",
      opened.database.read(async (em) => {
        await goOn.promise;
        assert.equal(await em.count(Note), 1);
      }),
    );
    const writing = write("a");
    await eventually(async () => disk.flushes === 1);
    goOn.resolve();
    await turns();
    assert.deepEqual(told, []);
    held.resolve();
    await Promise.all([reading, writing]);
  });

  test("is not built on: the next transaction begins after it", async () => {
    const held = hold();
    const first = write("a");
    await eventually(async () => disk.flushes === 1);
    let hasBegun = false;
    const second = opened.database.transaction(async () => {
      hasBegun = true;
    });
    await turns();
    assert.equal(hasBegun, false);
    held.resolve();
    await Promise.all([first, second]);
    assert.equal(hasBegun, true);
  });

  test("waits for one flush with all of its group, and for none where nothing was written", async () => {
    await Promise.all(["a", "b", "c"].map(write));
    assert.deepEqual([disk.flushes, disk.upkeeps], [1, 1]);
    await opened.database.transaction((tx) => tx.em.count(Note));
    await opened.database.transaction(async () => {});
    await assert.rejects(
      opened.database.transaction(async () => {
        throw new Error("no");
      }),
    );
    assert.deepEqual([disk.flushes, disk.upkeeps], [1, 1]);
    assert.equal(await count(), 3);
  });

  test("whose upkeep takes long keeps the next transaction waiting, and neither its caller nor readers", async () => {
    disk.upkeepHeld = Promise.withResolvers<void>();
    await write("a");
    assert.equal(await count(), 1);
    const second = write("b");
    await turns();
    assert.deepEqual([told, disk.upkeeps], [["a"], 1]);
    disk.upkeepHeld.resolve();
    await second;
  });

  test("of the tables of a plugin that comes later is waited for", async () => {
    const held = hold();
    const adding = tell(
      "added",
      opened.addPlugin({ id: "more", entities: [], migrations: [{ name: "001", class: CreateMore }] }),
    );
    await eventually(async () => disk.flushes === 1);
    await turns();
    assert.deepEqual(told, []);
    held.resolve();
    await adding;
    assert.deepEqual(told, ["added"]);
  });

  test("and that the disk does not take ends everything: nobody is told of it, and nothing is served any more", async () => {
    await write("before");
    told = [];
    announced.length = 0;
    const held = hold();
    const first = write("a");
    await eventually(async () => disk.flushes === 2);
    const others = [write("b"), tell("read", count())];
    held.reject(Object.assign(new Error("EIO: i/o error, fdatasync"), { code: "EIO" }));
    await Promise.all([first, ...others]);
    disk.held = null;
    await Promise.all([write("c"), tell("read later", count())]);
    const refused = ["a", "b", "c", "read", "read later"].map((what) => `${what}: STORAGE_FLUSH_FAILED`);
    assert.deepEqual([[...told].sort(), announced, disk.flushes], [refused.sort(), [], 2]);
    assert.deepEqual(
      failures.map(({ code, detail }) => [code, detail]),
      [["STORAGE_FLUSH_FAILED", "EIO: i/o error, fdatasync"]],
    );
  });

  test("counts as lost as well when the upkeep after it fails", async () => {
    disk.upkeepHeld = Promise.withResolvers<void>();
    const first = write("a");
    await first;
    disk.upkeepHeld.reject(new Error("no"));
    await write("b");
    assert.deepEqual(told, ["a", "b: STORAGE_FLUSH_FAILED"]);
    assert.equal(failures.length, 1);
  });
});

test("a database whose first tables the disk does not take is not opened", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "mezite-flush-"));
  t.after(() => rm(folder, { recursive: true }));
  let flushes = 0;
  class Failing extends SqliteStorageDriver {
    override async flush(): Promise<void> {
      flushes += 1;
      if (flushes === 2) throw new Error("no");
      await super.flush();
    }
  }
  const open = openDatabase({
    driver: new Failing(join(folder, "mezite.db")),
    plugins: [],
    sinks: () => [],
    clock: systemClock,
    clusterName: "flush",
    logger: silentLogger,
    onCommitted() {},
  });
  await assert.rejects(open, (error) => isMezError(error, "STORAGE_FLUSH_FAILED"));
});
