import assert from "node:assert/strict";
import { test } from "node:test";
import type { EntityManager } from "@mikro-orm/core";
import { silentLogger } from "../../test/fixtures/silent-logger.js";
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
