import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdir, mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, suite, test } from "node:test";
import { isMezError } from "../../../core/errors/error.js";
import { storageDriverContract } from "../../../test/contracts/storage-driver.js";
import { openCrashDatabase, requireWhole, spawnCrashWriter } from "../../../test/fixtures/crash-writer.js";
import { SqliteStorageDriver } from "./sqlite-driver.js";

const MEMORY = 2; // https://www.sqlite.org/pragma.html#pragma_temp_store

storageDriverContract("sqlite", async () => {
  const folder = await mkdtemp(join(tmpdir(), "mezite-sqlite-contract-"));
  return { driver: () => new SqliteStorageDriver(join(folder, "mezite.db")), remove: () => rm(folder, { recursive: true }) };
});

suite("a database file", () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "mezite-sqlite-"));
  });
  after(() => rm(folder, { recursive: true }));

  test("is readable by its owner only", async () => {
    const path = join(folder, "mode", "mezite.db");
    const opened = await openCrashDatabase(path);
    for (const file of [path, `${path}.lock`, `${path}.pid`, `${path}-wal`])
      assert.equal((await stat(file)).mode & 0o077, 0, file);
    await opened.close();
  });

  test("keeps what undoes a statement in memory, not in files elsewhere", async () => {
    const opened = await openCrashDatabase(join(folder, "temporary.db"));
    try {
      const answer = await opened.database.transaction(({ em }) =>
        em.getConnection().execute("pragma temp_store", [], "get", em.getTransactionContext()),
      );
      assert.deepEqual(answer, { temp_store: MEMORY });
    } finally {
      await opened.close();
    }
  });

  test("serves one process at a time and says which", async () => {
    const path = join(folder, "lock", "mezite.db");
    const first = await openCrashDatabase(path);
    await assert.rejects(
      openCrashDatabase(path),
      (error) => isMezError(error, "STORAGE_IN_USE") && error.message.includes(path) && error.fields["pid"] === process.pid,
    );
    await first.close();
    await (await openCrashDatabase(path)).close();
  });

  test("whose place cannot be written is STORAGE_UNWRITABLE", async () => {
    await mkdir(join(folder, "mezite.db.lock"), { recursive: true });
    await assert.rejects(openCrashDatabase(join(folder, "mezite.db")), (error) => isMezError(error, "STORAGE_UNWRITABLE"));
  });

  test("that is none is STORAGE_CORRUPT", async () => {
    const path = join(folder, "noise.db");
    await writeFile(path, "no database ".repeat(1000));
    await assert.rejects(openCrashDatabase(path), (error) => isMezError(error, "STORAGE_CORRUPT"));
  });

  test("keeps everything that was acknowledged before kill -9, with an intact audit chain, and is free again", async () => {
    const path = join(folder, "crash", "mezite.db");
    const acknowledged = new Set<string>();
    for (let round = 0; round < 5; round += 1) {
      const seen = acknowledged.size;
      const child = spawnCrashWriter(path, String(round));
      const ended = once(child, "exit");
      const killAfter = 1 + Math.floor(Math.random() * 400);
      for await (const line of createInterface({ input: child.stdout })) {
        acknowledged.add(line);
        if (acknowledged.size - seen === killAfter) child.kill("SIGKILL");
      }
      assert.deepEqual(await ended, [null, "SIGKILL"]);
      await requireWhole(path, acknowledged);
    }
  });
});
