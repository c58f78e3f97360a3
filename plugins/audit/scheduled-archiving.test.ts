import assert from "node:assert/strict";
import { afterEach, beforeEach, suite, test } from "node:test";
import { isMezError, MezError } from "../../core/errors/error.js";
import { FakeBucket } from "../../test/fakes/bucket.js";
import { testArchive } from "../../test/fixtures/audit-archive.js";
import { openTestDatabase, type TestDatabase } from "../../test/fixtures/database.js";
import { eventually } from "../../test/fixtures/eventually.js";
import { AUDIT_MIGRATIONS } from "./audit-migrations.js";
import { AUDIT_ENTITIES } from "./audit-repository.js";
import { DatabaseAuditSink } from "./database-audit-sink.js";
import { parseArchiveEvery, ScheduledArchiving } from "./scheduled-archiving.js";

const HOUR = 3600;

suite("archiving by the server itself", () => {
  let db: TestDatabase;
  let bucket: FakeBucket;
  let now: Date;
  let logged: string[];
  const clock = { now: () => now };
  const later = (seconds: number): void => {
    now = new Date(now.getTime() + seconds * 1000);
  };
  beforeEach(async () => {
    now = new Date("2026-03-05T12:00:00Z");
    logged = [];
    bucket = new FakeBucket();
    db = await openTestDatabase({
      entities: AUDIT_ENTITIES,
      migrations: AUDIT_MIGRATIONS,
      sinks: [new DatabaseAuditSink()],
      clock,
    });
  });
  afterEach(() => db.close());

  function server(retentionSeconds = 0, lookMs = 60_000): ScheduledArchiving {
    return new ScheduledArchiving({
      ...{ database: db.database, clock, everySeconds: HOUR, lookMs },
      archive: testArchive(db.database, { bucket, clock, retentionSeconds }),
      logger: {
        debug() {},
        warn() {},
        info: (message, fields) => void logged.push(`${message} ${JSON.stringify(fields)}`),
        error: (message, fields) => void logged.push(`${message}: ${String(fields?.error)}`),
      },
    });
  }

  const log = () => db.database.transaction(async (tx) => tx.audit({ type: "user.login", userName: "alice" }));
  const files = () => [...bucket.objects.keys()].filter((key) => key.endsWith(".gz")).length;

  test("archives when a turn is due, and says so as nobody's doing", async () => {
    const one = server();
    await log();
    await one.look();
    assert.equal(files(), 1);
    await log();
    later(HOUR - 1);
    await one.look();
    assert.equal(files(), 1);
    later(1);
    await one.look();
    assert.equal(files(), 2);
    const archived = db.audits.filter(({ type }) => type === "audit.archived");
    assert.deepEqual(
      archived.map(({ userName }) => userName),
      ["", ""],
    );
    assert.match(logged.join("\n"), /^audit events archived \{"events":1,"files":1,"removed":0\}\naudit events archived /);
  });

  test("of two servers one takes a turn, and either the next one", async () => {
    const [one, two] = [server(), server()];
    for (const turn of [1, 2, 3]) {
      await log();
      await Promise.all([one.look(), two.look(), one.look()]);
      assert.equal(files(), turn);
      assert.equal(logged.length, turn);
      later(HOUR);
    }
    later(HOUR);
    await two.look();
    assert.equal(files(), 3);
  });

  test("removes what is old enough", async () => {
    const one = server(86_400);
    await log();
    await one.look();
    later(3 * 86_400);
    await log();
    await one.look();
    assert.match(logged.at(-1) ?? "", /"removed":[1-9]/);
  });

  test("tries again soon after a failure, and tells of it once", async () => {
    const one = server();
    await log();
    bucket.beforeCall = () => {
      throw new MezError("BUCKET_UNAVAILABLE", "the bucket is away");
    };
    for (let count = 0; count < 3; count += 1) {
      await one.look();
      later(301);
    }
    assert.deepEqual(logged, ["the audit log could not be archived; trying again: the bucket is away"]);
    bucket.beforeCall = () => undefined;
    await one.look();
    assert.equal(files(), 1);
  });

  test("a clock that ran ahead does not stop it", async () => {
    const one = server();
    later(365 * 86_400);
    await one.look();
    later(-365 * 86_400);
    await log();
    await one.look();
    assert.equal(files(), 1);
  });

  test("looks by itself from its start to its end, and ends between two files", async () => {
    const one = server(0, 10);
    await log();
    await one.start();
    await eventually(() => files() === 1);
    await one.drain();
    await log();
    later(HOUR);
    await one.look();
    assert.equal(files(), 1);
  });

  for (const [text, seconds] of [
    ["", null],
    ["1m", 60],
    ["1d", 86_400],
  ] as const)
    test(`reads "${text}" as ${seconds}`, () => assert.equal(parseArchiveEvery(text), seconds));

  test("refuses to archive by the second", () =>
    assert.throws(
      () => parseArchiveEvery("59s"),
      (error) => isMezError(error, "CONFIG_INVALID"),
    ));
});
