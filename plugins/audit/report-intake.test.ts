import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";
import { MezError } from "../../core/errors/error.js";
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
