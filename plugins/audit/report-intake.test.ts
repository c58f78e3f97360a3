import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";
import { isMezError, MezError } from "../../core/errors/error.js";
import type { Database } from "../../core/plugin/database.js";
import { uuidV7 } from "../../core/time/uuid-v7.js";
import { openTestDatabase, type TestDatabase } from "../../test/fixtures/database.js";
import { AUDIT_MIGRATIONS } from "./audit-migrations.js";
import { AUDIT_ENTITIES } from "./audit-repository.js";
import { ChainVerifier } from "./chain-verifier.js";
import { DatabaseAuditSink } from "./database-audit-sink.js";
import { type ReportedEvent, ReportIntake } from "./report-intake.js";

suite("intake of reports", () => {
  let db: TestDatabase;
  before(async () => {
    db = await openTestDatabase({ entities: AUDIT_ENTITIES, migrations: AUDIT_MIGRATIONS, sinks: [new DatabaseAuditSink()] });
  });
  after(() => db.close());

  /** The database, with a count of its transactions; `refuses` fails those to come. */
  function counted() {
    const state = { transactions: 0, refuses: false };
    const database: Database = {
      read: (work) => db.database.read(work),
      transaction: (work) => {
        state.transactions += 1;
        return state.refuses ? Promise.reject(new MezError("UNAVAILABLE", "away")) : db.database.transaction(work);
      },
    };
    return { state, database };
  }

  test("stores the reports of many agents in few transactions, with an intact chain", async () => {
    const { state, database } = counted();
    const intake = new ReportIntake(database);
    const before = db.audits.length;
    await Promise.all(Array.from({ length: 500 }, () => intake.store([reported(), reported()])));
    assert.equal(db.audits.length - before, 1000);
    assert.ok(state.transactions <= 8, `${state.transactions} transactions`);
    const verdict = await verdictOf(db.database);
    assert.deepEqual(verdict, { intact: true, checked: db.audits.length, unchecked: 0 });
  });

  test("stores an event once, whoever reports it beside and after it", async () => {
    const intake = new ReportIntake(db.database);
    const before = db.audits.length;
    const event = reported();
    await Promise.all([intake.store([event, event]), intake.store([event])]);
    await intake.store([event, reported()]);
    assert.equal(db.audits.length - before, 2);
  });

  test("takes a report that is larger than what it takes at once", async () => {
    const before = db.audits.length;
    await new ReportIntake(db.database).store(Array.from({ length: 500 }, reported));
    assert.equal(db.audits.length - before, 500);
  });

  test("an event that cannot be stored fails the report that holds it, and no other", async () => {
    const intake = new ReportIntake(db.database);
    const bad: ReportedEvent = {
      ...reported(),
      metadata: {
        get command(): string {
          throw new Error("unreadable");
        },
      },
    };
    const answers = await Promise.allSettled([
      intake.store([reported()]),
      intake.store([reported()]),
      intake.store([bad]),
      intake.store([reported()]),
    ]);
    assert.deepEqual(
      answers.map(({ status }) => status),
      ["fulfilled", "fulfilled", "rejected", "fulfilled"],
    );
  });

  /** A database whose transactions begin when they are told to. */
  function held() {
    const gate = Promise.withResolvers<void>();
    const database: Database = {
      read: (work) => db.database.read(work),
      transaction: async (work) => {
        await gate.promise;
        return db.database.transaction(work);
      },
    };
    return { open: gate.resolve, database };
  }

  const refusal = (error: unknown): boolean => isMezError(error, "LIMIT_EXCEEDED") && Number(error.fields["retryAfterMs"]) > 0;

  test("refuses at once what would wait for too long, stores what it took, and takes the rest when it comes again", async () => {
    const { open, database } = held();
    const intake = new ReportIntake(database, { maxWaitingEvents: 10 });
    const before = db.audits.length;
    const taken = Array.from({ length: 5 }, () => intake.store([reported(), reported()]));
    const late = [reported()];
    await assert.rejects(intake.store(late), refusal);
    open();
    await Promise.all(taken);
    assert.equal(db.audits.length - before, 10);
    await intake.store(late);
    assert.equal(db.audits.length - before, 11);
  });

  test("takes a report that is larger than all that may wait, when nothing else does", async () => {
    const before = db.audits.length;
    await new ReportIntake(db.database, { maxWaitingEvents: 10 }).store(Array.from({ length: 20 }, reported));
    assert.equal(db.audits.length - before, 20);
  });

  test("takes nothing more while a report has waited for long", async () => {
    const { open, database } = held();
    const intake = new ReportIntake(database, { maxWaitMs: 0 });
    const first = intake.store([reported()]);
    await new Promise((resolve) => setTimeout(resolve, 5));
    await assert.rejects(intake.store([reported()]), refusal);
    open();
    await first;
    await intake.store([reported()]);
  });

  test("stores nothing for a caller who has gone", async () => {
    const { open, database } = held();
    const intake = new ReportIntake(database);
    const before = db.audits.length;
    const leaving = new AbortController();
    const gone = intake.store([reported()], leaving.signal);
    const stays = intake.store([reported()]);
    leaving.abort();
    open();
    await assert.rejects(gone, (error) => isMezError(error, "CANCELLED"));
    await stays;
    assert.equal(db.audits.length - before, 1);
  });

  test("lets others work between transactions for as long as one takes", async () => {
    const { state, database } = counted();
    const slow: Database = {
      read: database.read,
      transaction: async (work) => {
        await new Promise((resolve) => setTimeout(resolve, 40));
        return database.transaction(work);
      },
    };
    const rests: number[] = [];
    const pause = async (ms: number): Promise<void> => void rests.push(ms);
    const intake = new ReportIntake(slow, { everyMs: 1, pause });
    for (let report = 0; report < 3; report += 1) await intake.store([reported()]);
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual([state.transactions, rests.length], [3, 3]);
    assert.ok(
      rests.every((ms) => ms > 30 && ms <= 50),
      `rests of ${rests} ms`,
    );
  });

  test("tells each reporter of a failure, and takes the reports that come after it", async () => {
    const { state, database } = counted();
    const intake = new ReportIntake(database);
    state.refuses = true;
    const answers = await Promise.allSettled([intake.store([reported()]), intake.store([reported()])]);
    assert.deepEqual(
      answers.map(({ status }) => status),
      ["rejected", "rejected"],
    );
    state.refuses = false;
    await intake.store([reported()]);
  });
});

// --- internal ---

function reported(): ReportedEvent {
  return {
    id: uuidV7(new Date()),
    type: "session.exec",
    userName: "o'neil ?",
    resourceLabels: { env: "test" },
    success: false,
    metadata: { command: "echo '??' \\? \"x\"" },
  };
}

async function verdictOf(database: Database): Promise<unknown> {
  const verification = new ChainVerifier(database).verify();
  for (;;) {
    const step = await verification.next();
    if (step.done) return step.value;
  }
}
