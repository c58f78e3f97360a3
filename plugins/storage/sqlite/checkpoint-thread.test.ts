import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, suite, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import type { OpenDatabase } from "../../../core/storage/database.js";
import { openCrashDatabase, requireWhole, spawnCrashWriter, writeEntry } from "../../../test/fixtures/crash-writer.js";
import { CheckpointThread } from "./checkpoint-thread.js";
import { SqliteStorageDriver } from "./sqlite-driver.js";

suite("copying the log into the database", () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "mezite-checkpoints-"));
  });
  after(() => rm(folder, { recursive: true }));

  test("keeps the log short while it is written to and read all the time", async () => {
    const path = join(folder, "busy.db");
    const { database, close } = await openCrashDatabase(path, new SqliteStorageDriver(path, { minFrames: 50 }));
    let count = 0;
    const writer = async (lane: number): Promise<void> => {
      while (timesBegun(path) < 5) {
        await writeEntry(database, `${lane}-${count}`);
        count += 1;
        if (count % 20 === 0) await database.read((em) => em.getConnection("read").execute("select count(*) from audit_events"));
      }
    };
    await Promise.all(Array.from({ length: 16 }, (_, lane) => writer(lane)));
    const { size } = await stat(`${path}-wal`);
    assert.ok(size < 16_000 * 4_096, "SQLite's own copying was not needed");
    await close();
    assert.deepEqual(
      (await readdir(folder)).filter((name) => name.startsWith("busy.db")),
      ["busy.db", "busy.db.lock", "busy.db.pid"],
    );
    await requireIntact(path);
  });

  test("goes on beside a backup that another program takes, which has all that was acknowledged before it", async () => {
    const [path, copy] = [join(folder, "copied.db"), join(folder, "copy.db")];
    const { database, close } = await openCrashDatabase(path, new SqliteStorageDriver(path, { minFrames: 50 }));
    let isOver = false;
    const acknowledged: string[] = [];
    const writer = async (lane: number): Promise<void> => {
      for (let count = 0; !isOver; count += 1) {
        await writeEntry(database, `${lane}-${count}`);
        acknowledged.push(`${lane}-${count}`);
      }
    };
    const writers = Promise.all(Array.from({ length: 16 }, (_, lane) => writer(lane)));
    while (timesBegun(path) < 2) await delay(10);
    const before = [...acknowledged];
    const [code] = await once(spawn(process.execPath, ["-e", BACKUP, path, copy], { stdio: "inherit" }), "exit");
    const begun = timesBegun(path);
    while (timesBegun(path) <= begun) await delay(10);
    isOver = true;
    await writers;
    await close();
    assert.equal(code, 0);
    await requireWhole(copy, before);
    await requireIntact(copy);
    await requireWhole(path, acknowledged);
  });

  test("survives kill -9 in the middle of it: nothing that was acknowledged is lost, and the file is whole", async () => {
    const path = join(folder, "killed", "mezite.db");
    const acknowledged = new Set<string>();
    for (let round = 0; round < 6; round += 1) {
      let killAt = Number.POSITIVE_INFINITY;
      const child = spawnCrashWriter(path, String(round), { minFrames: 30 });
      const ended = once(child, "exit");
      for await (const line of createInterface({ input: child.stdout })) {
        acknowledged.add(line);
        if (killAt === Number.POSITIVE_INFINITY && timesBegun(path) > 0)
          killAt = acknowledged.size + Math.floor(Math.random() * 300);
        if (acknowledged.size === killAt) child.kill("SIGKILL");
      }
      assert.deepEqual(await ended, [null, "SIGKILL"]);
      await requireWhole(path, acknowledged);
    }
    await requireIntact(path);
  });

  test("begins a new thread when one has died", async () => {
    const path = join(folder, "later.db");
    const thread = new CheckpointThread(path);
    await assert.rejects(thread.checkpoint(), /unable to open database file|does not exist/);
    const opened = await openCrashDatabase(path);
    await writeEntry(opened.database, "a");
    const { log, checkpointed } = await thread.checkpoint();
    assert.ok(log > 0 && log === checkpointed);
    await thread.close();
    await opened.close();
  });
});

// --- internal ---

const BACKUP = `const { backup, DatabaseSync } = require("node:sqlite");
  const database = new DatabaseSync(process.argv[1], { readOnly: true });
  database.exec("begin; select 1 from sqlite_schema where 0"); // of one moment: else it begins anew with each commit
  backup(database, process.argv[2])`;

/** How often SQLite has begun the log anew, https://www.sqlite.org/fileformat2.html#walformat. */
function timesBegun(path: string): number {
  return readFileSync(`${path}-wal`).readUInt32BE(12);
}

async function requireIntact(path: string): Promise<void> {
  const opened: OpenDatabase = await openCrashDatabase(path);
  const answer = await opened.database.read((em) => em.getConnection("read").execute("pragma integrity_check"));
  await opened.close();
  assert.deepEqual(answer, [{ integrity_check: "ok" }]);
}
