import assert from "node:assert/strict";
import { test } from "node:test";
import { openTestDatabase } from "../../test/fixtures/database.js";
import { silentLogger } from "../../test/fixtures/silent-logger.js";
import type { Database } from "../plugin/database.js";
import { OutboxKeeper } from "../storage/outbox-keeper.js";
import { Membership } from "./membership.js";
import { listServers } from "./server-records.js";

test("gives no server up for looks that came one right after the other", async (t) => {
  const { database, close } = await openTestDatabase({});
  t.after(close);
  let failures = 5;
  const failing: Database = {
    read: (work) => database.read(work),
    transaction: (work) =>
      database.transaction(async (tx) => {
        const result = await work(tx);
        failures -= 1;
        if (failures >= 0) throw new Error("the commit fails");
        return result;
      }),
  };
  const make = (name: string, of: Database) => {
    const parts = { database: of, name, logger: silentLogger, onAdopted: () => {}, beatMs: 60_000 };
    return new Membership({ ...parts, keeper: new OutboxKeeper(true) });
  };
  const quiet = make("quiet", database);
  await quiet.start();
  t.after(() => quiet.stop());
  const busy = make("busy", failing);
  while (failures > 0) await assert.rejects(busy.have("x"), /the commit fails/);
  assert.equal(await busy.have("x"), true);
  assert.deepEqual((await database.read(listServers)).map(({ name }) => name).sort(), ["busy", "quiet"]);
});

test("gives a duty back that nobody asks for here any more", async (t) => {
  const { database, close } = await openTestDatabase({});
  t.after(close);
  let now = 0;
  const make = (name: string) => {
    const parts = { database, name, logger: silentLogger, onAdopted: () => {}, beatMs: 1000, idleDutyMs: 10_000, now: () => now };
    return new Membership({ ...parts, keeper: new OutboxKeeper(true) });
  };
  const [one, two] = [make("one"), make("two")];
  assert.deepEqual([await one.have("sweep"), await one.have("forward"), await two.have("sweep")], [true, true, false]);
  now = 6_000;
  assert.equal(await one.have("forward"), true);
  assert.equal(await two.have("sweep"), false);
  now = 10_500;
  assert.equal(await one.have("forward"), true);
  assert.deepEqual([await two.have("sweep"), await two.have("forward"), await one.have("sweep")], [true, false, false]);
});
