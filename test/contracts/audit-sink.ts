import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { EntityManager } from "@mikro-orm/core";
import type { Entities, Migrations } from "../../core/plugin/database.js";
import type { AuditSink } from "../../core/ports/audit-sink.js";
import type { TransactionContext } from "../../core/storage/transaction-context.js";
import { openTestDatabase, type TestDatabase } from "../fixtures/database.js";

/** A sink under test. */
export interface AuditSinkUnderTest {
  readonly sink: AuditSink;
  /** Its tables, when it writes into the database. */
  readonly entities?: Entities;
  readonly migrations?: Migrations;
  /** How many events it holds. */
  count(em: EntityManager): Promise<number>;
  close(): Promise<void>;
}

/** What every filler of the port AUDIT_SINK must do. */
export function testAuditSink(name: string, open: () => Promise<AuditSinkUnderTest>): void {
  describe(`audit sink ${name}`, () => {
    let subject: AuditSinkUnderTest;
    let opened: TestDatabase;
    const count = () => opened.database.read((em) => subject.count(em));
    before(async () => {
      subject = await open();
      const { entities = [], migrations = [], sink } = subject;
      opened = await openTestDatabase({ entities, migrations, sinks: [behindSlowDatabase(sink)] });
    });
    after(async () => {
      await opened.close();
      await subject.close();
    });

    test("takes several events of one transaction, in one call", async () => {
      const before = await count();
      await opened.database.transaction(async (tx) => {
        for (const resourceName of ["a", "b", "c"])
          tx.audit({ type: "user.login", resourceName, metadata: { deep: [1, { x: "naïve" }] } });
      });
      assert.equal(await count(), before + 3);
    });

    test("sends all it writes before it waits, if it prepares: the commit may be right behind", async () => {
      const before = await count();
      for (let n = 0; n < 2; n += 1) await opened.database.transaction(async (tx) => tx.audit({ type: "user.login" }));
      assert.equal(await count(), before + 2);
    });

    test("holds nothing of a transaction that was rolled back", async () => {
      const before = await count();
      await assert.rejects(
        opened.database.transaction(async (tx) => {
          tx.audit({ type: "user.login" });
          throw new Error("no");
        }),
      );
      assert.equal(await count(), before);
    });

    test("loses nothing when many transactions come at once", async () => {
      const before = await count();
      await Promise.all(
        Array.from({ length: 50 }, () => opened.database.transaction(async (tx) => tx.audit({ type: "user.login" }))),
      );
      assert.equal(await count(), before + 50);
    });
  });
}

// --- internal ---

/** The same sink over a database that is far away, as those are that several servers share. */
function behindSlowDatabase(sink: AuditSink): AuditSink {
  const contexts = new WeakMap<object, object>();
  const slow = (em: EntityManager): EntityManager => {
    const context = em.getTransactionContext<TransactionContext>();
    if (context === undefined) return em;
    const slowed = contexts.get(context) ?? {
      async executeQuery(statement: Parameters<TransactionContext["executeQuery"]>[0]) {
        const answer = await context.executeQuery(statement);
        await nextTurn();
        return answer;
      },
    };
    contexts.set(context, slowed);
    const fork = em.fork();
    fork.setTransactionContext(slowed);
    return fork;
  };
  return {
    ...(sink.prepare === undefined ? {} : { prepare: (em) => sink.prepare?.(slow(em)) ?? Promise.resolve() }),
    append: async (events, em) => {
      const fork = slow(em);
      await sink.append(events, fork);
      await fork.flush();
    },
  };
}
