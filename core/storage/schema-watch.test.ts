import assert from "node:assert/strict";
import { test } from "node:test";
import type { EntityManager } from "@mikro-orm/core";
import { silentLogger } from "../../test/fixtures/silent-logger.js";
import type { ErrorCode } from "../errors/codes.js";
import { isMezError } from "../errors/error.js";
import type { Migrations } from "../plugin/database.js";
import { SchemaWatch } from "./schema-watch.js";

test("a version of a plugin that knows less than the one before makes nobody blind", async () => {
  const watch = new SchemaWatch([{ id: "things", migrations: named("001", "002") }], silentLogger);
  watch.learn({ id: "things", migrations: named("001") });
  await watch.check(applied("001", "002"), 1);
  assert.equal(watch.isOutdated, false);
  await assert.rejects(watch.check(applied("001", "002", "003"), 2), (error) => isMezError(error, "STORAGE_NEWER"));
  await assert.rejects(watch.check(applied("001"), 3), (error) => isMezError(error, "STORAGE_NEWER"), "from then on always");
});

test("of a package that another server has upgraded writes wait, then this server is blind, and sees again when it follows", async () => {
  let now = 0;
  const watch = new SchemaWatch([{ id: "things", migrations: named("001"), isPackage: true }], silentLogger, () => now);
  await watch.check(applied("001"), 1);
  const refuses = (code: ErrorCode) => assert.rejects(watch.check(applied("001", "002"), 2), (error) => isMezError(error, code));
  await refuses("UNAVAILABLE");
  now = 4_999;
  await refuses("UNAVAILABLE");
  assert.equal(watch.isOutdated, false);
  now = 5_000;
  await refuses("STORAGE_NEWER");
  assert.equal(watch.isOutdated, true);
  watch.learn({ id: "others", migrations: named("001"), isPackage: true });
  assert.equal(watch.isOutdated, true, "it is not that one");
  watch.learn({ id: "things", migrations: named("001", "002"), isPackage: true });
  assert.equal(watch.isOutdated, false);
  await watch.check(applied("001", "002"), 2);
});

test("what others do with the tables of a package that is off here is theirs", async () => {
  const watch = new SchemaWatch(
    [
      { id: "core", migrations: named("001") },
      { id: "things", migrations: named("001"), isPackage: true },
    ],
    silentLogger,
  );
  await assert.rejects(watch.check(applied("001", "002"), 1), (error) => isMezError(error, "UNAVAILABLE"));
  watch.unlearn("things");
  await watch.check(applied(), 1);
  assert.deepEqual([watch.isOutdated, watch.knows("things")], [false, false]);
});

test("a package that was learned is looked at anew, also when nothing was counted since", async () => {
  const watch = new SchemaWatch([{ id: "things", migrations: named("001") }], silentLogger);
  await watch.check(applied("001"), 1);
  watch.learn({ id: "things", migrations: named("001"), isPackage: true });
  await assert.rejects(watch.check(applied("001", "002"), 1), (error) => isMezError(error, "UNAVAILABLE"));
});

// --- internal ---

function named(...names: readonly string[]): Migrations {
  return names.map((name) => ({ name, class: class {} })) as unknown as Migrations;
}

/** A database in which these have run. */
function applied(...names: readonly string[]): EntityManager {
  const rows = names.map((name) => ({ plugin: "things", name }));
  return {
    getConnection: () => ({ execute: async () => rows }),
    getTransactionContext: () => undefined,
  } as unknown as EntityManager;
}
