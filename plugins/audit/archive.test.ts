import assert from "node:assert/strict";
import { mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, suite, test } from "node:test";
import { gunzipSync } from "node:zlib";
import { isMezError } from "../../core/errors/error.js";
import { FakeBucket } from "../../test/fakes/bucket.js";
import { testArchive } from "../../test/fixtures/audit-archive.js";
import { openTestDatabase, type TestDatabase } from "../../test/fixtures/database.js";
import type { ArchiveService } from "./archive-service.js";
import { AUDIT_MIGRATIONS } from "./audit-migrations.js";
import { AUDIT_ENTITIES } from "./audit-repository.js";
import { type ChainVerdict, ChainVerifier } from "./chain-verifier.js";
import { DatabaseAuditSink } from "./database-audit-sink.js";

const NOW = new Date("2026-03-05T12:00:00Z");
const clock = { now: () => NOW };
const DAY = 86_400;

suite("audit archive", () => {
  let db: TestDatabase;
  let bucket: FakeBucket;
  let archive: ArchiveService;
  beforeEach(async () => {
    db = await openTestDatabase({
      entities: AUDIT_ENTITIES,
      migrations: AUDIT_MIGRATIONS,
      sinks: [new DatabaseAuditSink()],
      clock,
    });
    bucket = new FakeBucket();
    archive = testArchive(db.database, { bucket, clock });
  });
  afterEach(() => db.close());

  async function write(day: string, count: number): Promise<void> {
    for (let index = 0; index < count; index += 1)
      await db.database.transaction(async (tx) =>
        tx.audit({
          type: "user.login",
          userName: "alice é",
          userRoles: ["b", "a"],
          resourceLabels: { z: "1", 10: "ten", __proto__x: "y" },
          metadata: { b: 1.5e30, "2": "x", a: "\ud800", nested: [null, { y: -0 }] },
          occurredAt: new Date(`${day}T08:00:00Z`),
        }),
      );
  }

  const sql = (statement: string) =>
    db.database.transaction((tx) => tx.em.getConnection().execute(statement, [], "run", tx.em.getTransactionContext()));

  async function run(each: ArchiveService = archive): Promise<number> {
    let events = 0;
    for await (const { firstSeq, lastSeq } of each.run("admin")) events += lastSeq - firstSeq + 1;
    return events;
  }

  async function verify(each: ArchiveService | null = archive): Promise<ChainVerdict> {
    const steps = new ChainVerifier(db.database, 7).verify(each === null ? undefined : () => each.read());
    for (;;) {
      const step = await steps.next();
      if (step.done) return step.value;
    }
  }

  const keys = () => [...bucket.objects.keys()].sort();
  const linesOf = (key: string) =>
    gunzipSync(bucket.objects.get(key) as Buffer)
      .toString()
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>);

  test("keeps a file and a manifest for each day, and a second run has nothing to do", async () => {
    await write("2026-03-01", 3);
    await write("2026-03-02", 2);
    assert.equal(await run(), 5);
    assert.deepEqual(keys(), [
      "audit/2026/03/01/000000000001-000000000003.manifest.json",
      "audit/2026/03/01/000000000001-000000000003.ndjson.gz",
      "audit/2026/03/02/000000000004-000000000005.manifest.json",
      "audit/2026/03/02/000000000004-000000000005.ndjson.gz",
    ]);
    const [first] = linesOf("audit/2026/03/01/000000000001-000000000003.ndjson.gz");
    assert.deepEqual([first?.seq, first?.event_type, first?.user_name], [1, "user.login", "alice é"]);
    const manifest = JSON.parse(String(bucket.objects.get(keys()[2] as string)));
    assert.deepEqual(
      [manifest.count, manifest.first_seq, manifest.last_seq, manifest.day, manifest.cluster_name],
      [2, 4, 5, "2026-03-02", "test"],
    );
    const before = keys().length;
    assert.equal(await run(), 0);
    assert.equal(keys().length, before);
    assert.deepEqual(await verify(), { intact: true, checked: 7, unchecked: 0 });
  });

  test("late events go to the day in which the log was, events of tomorrow to today", async () => {
    await write("2026-03-04", 1);
    await write("2026-03-01", 1);
    await write("2026-04-01", 1);
    await run();
    assert.deepEqual(
      keys().map((key) => key.slice(6, 16)),
      ["2026/03/04", "2026/03/04", "2026/03/05", "2026/03/05"],
    );
  });

  for (const call of [1, 2, 3, 4, 5, 6, 7, 8]) {
    test(`a crash at call ${call} of the store loses and repeats nothing`, async () => {
      await write("2026-03-01", 3);
      await write("2026-03-02", 3);
      let calls = 0;
      bucket.beforeCall = () => {
        calls += 1;
        if (calls === call) throw new Error("crash");
      };
      await assert.rejects(run(), /crash/);
      bucket.beforeCall = () => undefined;
      await write("2026-03-02", 2);
      await run(testArchive(db.database, { bucket, clock }));
      const seqs = keys()
        .filter((key) => key.endsWith(".gz"))
        .flatMap((key) => linesOf(key).map(({ seq }) => seq));
      assert.deepEqual(
        seqs,
        Array.from(seqs, (_, index) => index + 1),
      );
      assert.equal((await verify()).intact, true);
    });
  }

  test("runs at the same time make one archive", async () => {
    await write("2026-03-01", 4);
    await write("2026-03-02", 4);
    await Promise.all([1, 2, 3].map(() => run(testArchive(db.database, { bucket, clock }))));
    const files = keys().filter((key) => key.endsWith(".gz"));
    assert.deepEqual(
      files.slice(0, 2).map((key) => key.slice(-32)),
      ["000000000001-000000000004.ndjson.gz".slice(-32), "000000000005-000000000008.ndjson.gz".slice(-32)],
    );
    assert.equal(db.audits.filter(({ type }) => type === "audit.archived").length, files.length);
    assert.equal((await verify()).intact, true);
  });

  test("a store that is away stops it with nothing lost", async () => {
    await write("2026-03-01", 2);
    bucket.isAway = true;
    await assert.rejects(run(), (error) => isMezError(error, "BUCKET_UNAVAILABLE"));
    bucket.isAway = false;
    assert.equal(await run(), 2);
  });

  test("a damaged log is not archived", async () => {
    await write("2026-03-01", 3);
    await sql("update audit_events set user_name = 'mallory' where seq = 2");
    await assert.rejects(run(), (error) => isMezError(error, "AUDIT_CHAIN_BROKEN") && /event 2/.test(error.message));
    assert.deepEqual(keys(), []);
  });

  test("only what is archived and old enough is removed, and the chain stays verifiable", async () => {
    await write("2026-03-01", 3);
    await write("2026-03-04", 3);
    const keeping = testArchive(db.database, { bucket, clock, retentionSeconds: 2 * DAY });
    assert.equal(await keeping.prune("admin"), 0);
    await run();
    assert.equal(await archive.prune("admin"), 0);
    assert.equal(await keeping.prune("admin"), 3);
    const { seq } = (await rows())[0] as { seq: number };
    assert.equal(seq, 4);
    const kept = (await rows()).length;
    assert.deepEqual(await verify(null), { intact: true, checked: kept, unchecked: 3 });
    assert.deepEqual(await verify(), { intact: true, checked: kept + 3, unchecked: 0 });
    await write("2026-03-05", 2);
    await run(keeping);
    assert.equal((await verify()).intact, true);
    assert.equal(await keeping.prune("admin"), 0);
  });

  test("what a forwarder has not taken stays, but not forever", async () => {
    await write("2026-01-01", 2);
    await write("2026-03-01", 2);
    await run();
    const keeping = testArchive(db.database, { bucket, clock, retentionSeconds: DAY, takenSeq: () => 0 });
    assert.equal(await keeping.prune("admin"), 2);
    assert.equal(await testArchive(db.database, { bucket, clock, retentionSeconds: DAY }).prune("admin"), 2);
  });

  test("nothing is removed that the archive has lost", async () => {
    await write("2026-03-01", 3);
    await run();
    bucket.objects.delete(keys()[1] as string);
    const keeping = testArchive(db.database, { bucket, clock, retentionSeconds: DAY });
    await assert.rejects(keeping.prune("admin"), (error) => isMezError(error, "AUDIT_CHAIN_BROKEN"));
    assert.deepEqual(await verify(null), { intact: true, checked: 4, unchecked: 0 });
  });

  for (const [damage, harm, reason] of [
    ["a file that is gone", (key: string) => bucket.objects.delete(key), /has lost/],
    ["a file that was changed", (key: string) => bucket.objects.set(key, Buffer.from("x")), /not the file/],
    [
      "a file that went with its manifest",
      (key: string) => {
        bucket.objects.delete(key);
        bucket.objects.delete(key.replace(".ndjson.gz", ".manifest.json"));
      },
      /events 1 to 3 are missing/,
    ],
    [
      "a manifest that is none",
      (key: string) => bucket.objects.set(key.replace(".ndjson.gz", ".manifest.json"), Buffer.from("{}")),
      /no manifest/,
    ],
  ] as const) {
    test(`finds ${damage}`, async () => {
      await write("2026-03-01", 3);
      await write("2026-03-02", 3);
      await run();
      await testArchive(db.database, { bucket, clock, retentionSeconds: DAY }).prune("admin");
      harm("audit/2026/03/01/000000000001-000000000003.ndjson.gz");
      const verdict = await verify();
      assert.ok(!verdict.intact);
      assert.match(verdict.reason, reason);
      assert.equal((await verify(null)).intact, true);
    });
  }

  test("finds a database that was rewritten from end to end", async () => {
    await write("2026-03-01", 3);
    await run();
    await sql("delete from audit_events");
    await sql(`update audit_head set last_seq = 0, last_hash = '${"0".repeat(64)}'`);
    await write("2026-03-01", 5);
    assert.equal((await verify(null)).intact, true);
    const verdict = await verify();
    assert.ok(!verdict.intact && /different stories/.test(verdict.reason));
  });

  test("a folder does as well as a bucket", async (t) => {
    const folder = await mkdtemp(join(tmpdir(), "mezite-archive-"));
    t.after(() => rm(folder, { recursive: true }));
    const local = testArchive(db.database, { directory: join(folder, "made"), clock });
    await write("2026-03-01", 3);
    await run(local);
    const [name] = await readdir(join(folder, "made/2026/03/01"));
    assert.equal((await stat(join(folder, "made/2026/03/01", name as string))).mode & 0o777, 0o600);
    assert.equal((await stat(join(folder, "made/2026"))).mode & 0o777, 0o700);
    assert.deepEqual(await verify(local), { intact: true, checked: 4, unchecked: 0 });
  });

  test("without a place it says what to configure", async () => {
    assert.throws(
      () => testArchive(db.database).run("admin"),
      (error) => isMezError(error, "ARCHIVE_NOT_CONFIGURED"),
    );
    assert.equal(await testArchive(db.database).state(), null);
  });

  function rows(): Promise<{ seq: number }[]> {
    return db.database.read((em) => em.getConnection().execute("select seq from audit_events order by seq"));
  }
});
