import assert from "node:assert/strict";
import { test } from "node:test";
import { openTestDatabase } from "../../test/fixtures/database.js";
import { auditFoundDecisions, noteDecisions } from "./audited-decisions.js";
import type { PluginDecisions } from "./plugin-decisions.js";

const TAPE = { from: "path:tape", integrity: "sha256-1" };

const decided = (overrides: Readonly<Record<string, boolean>>, added: PluginDecisions["added"] = new Map()): PluginDecisions => ({
  overrides: new Map(Object.entries(overrides)),
  added,
});

test("what a crash kept from the audit log is audited at the next start, once", async (t) => {
  const db = await openTestDatabase({});
  t.after(db.close);
  await auditFoundDecisions(db.database, decided({ mfa: true }));
  assert.deepEqual(db.audits, [], "there is nothing yet to compare with");
  await db.database.transaction((tx) => noteDecisions(tx.em, decided({ mfa: true, locks: true })));
  await auditFoundDecisions(db.database, decided({ mfa: true, locks: true }));
  assert.deepEqual(db.audits, []);
  const found = decided({ locks: false, tape: true }, new Map([["tape", TAPE]]));
  for (let start = 0; start < 2; start += 1) await auditFoundDecisions(db.database, found);
  assert.deepEqual(
    db.audits.map(({ type, resourceName, metadata }) => [type, resourceName, metadata]),
    [
      ["plugin.disabled", "locks", { found: "plugins.json" }],
      ["plugin.reloaded", "mfa", { found: "plugins.json" }],
      ["plugin.added", "tape", { ...TAPE, found: "plugins.json" }],
    ],
  );
});

test("a package that is gone or another one is audited as well", async (t) => {
  const db = await openTestDatabase({});
  t.after(db.close);
  const one = (integrity: string) => new Map([["tape", { ...TAPE, integrity }]]);
  await auditFoundDecisions(db.database, decided({ tape: true }, one("sha256-1")));
  await auditFoundDecisions(db.database, decided({ tape: true }, one("sha256-2")));
  await auditFoundDecisions(db.database, decided({}));
  assert.deepEqual(
    db.audits.map(({ type, resourceName }) => [type, resourceName]),
    [
      ["plugin.added", "tape"],
      ["plugin.removed", "tape"],
    ],
  );
});

test("that the ports of a package were noted is no decision", async (t) => {
  const db = await openTestDatabase({});
  t.after(db.close);
  await auditFoundDecisions(db.database, decided({ tape: true }, new Map([["tape", TAPE]])));
  await auditFoundDecisions(db.database, decided({ tape: true }, new Map([["tape", { ...TAPE, ports: ["guard"] }]])));
  assert.deepEqual(db.audits, []);
});
