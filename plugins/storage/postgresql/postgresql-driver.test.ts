import assert from "node:assert/strict";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { after, before, suite, test } from "node:test";
import { defineEntity, p } from "@mikro-orm/core";
import { Migration } from "@mikro-orm/migrations";
import type { ErrorCode } from "../../../core/errors/codes.js";
import { isMezError } from "../../../core/errors/error.js";
import { Secret } from "../../../core/plugin/secret.js";
import { type OpenDatabase, openDatabase } from "../../../core/storage/database.js";
import { systemClock } from "../../../core/time/clock.js";
import { sharedStorageContract } from "../../../test/contracts/shared-storage.js";
import { storageDriverContract } from "../../../test/contracts/storage-driver.js";
import { openCrashDatabase, requireWhole, spawnCrashWriter } from "../../../test/fixtures/crash-writer.js";
import { eventually } from "../../../test/fixtures/eventually.js";
import { freePorts } from "../../../test/fixtures/free-ports.js";
import { silentLogger } from "../../../test/fixtures/silent-logger.js";
import { RunningPgbouncer, RunningPostgresql } from "../../../test/peers/postgresql.js";
import { needsPeers } from "../../../test/peers/require-peer.js";
import { PostgresqlStorageDriver } from "./postgresql-driver.js";
import type { PostgresqlSettings } from "./postgresql-settings.js";

suite("PostgreSQL", needsPeers("postgres", "pgbouncer"), () => {
  let server: RunningPostgresql;
  let pooler: RunningPgbouncer;
  before(async () => {
    server = await RunningPostgresql.start();
    pooler = await RunningPgbouncer.start(server);
  });
  after(async () => {
    await pooler.close();
    await server.close();
  });

  const driverOf = (settings: PostgresqlSettings) => new PostgresqlStorageDriver(settings, silentLogger);
  const place = (settings: PostgresqlSettings) => ({
    driver: () => driverOf(settings),
    sql: async (text: string) => void server.sql(settings.database, text),
    remove: async () => {},
  });
  const pooled = () => ({ servers: [{ host: "127.0.0.1", port: pooler.port }] });

  storageDriverContract("postgresql", async () => place(server.database()));
  storageDriverContract("postgresql behind pgbouncer", async () => place(server.database(pooled())));
  sharedStorageContract("postgresql", async () => place(server.database({ idleTransactionSeconds: 2 })));
  sharedStorageContract("postgresql behind pgbouncer", async () =>
    place(server.database({ idleTransactionSeconds: 2, ...pooled() })),
  );

  const open = (settings: PostgresqlSettings) =>
    openDatabase({
      driver: driverOf(settings),
      plugins: [],
      sinks: () => [],
      clock: systemClock,
      clusterName: "test",
      logger: silentLogger,
      onCommitted() {},
    });
  const opens = async (settings: PostgresqlSettings) => (await open(settings)).close();
  const refused = (settings: PostgresqlSettings, code: ErrorCode, message: RegExp) =>
    assert.rejects(opens(settings), (error) => isMezError(error, code) && message.test(error.message));

  suite("a connection", () => {
    const host = (name: string) => ({ servers: [{ host: name, port: server.port }] });

    test("is encrypted and checked by name, against the authority that was given", async () => {
      const settings = server.database({ ...host("localhost"), sslMode: "verify-full", caFile: server.caFile });
      const database = await open(settings);
      await database.database.read((em) => em.getConnection().execute("select 1"));
      const ssl = server.sql(
        "postgres",
        `select bool_and(ssl) from pg_stat_ssl natural join pg_stat_activity where datname = '${settings.database}'`,
      );
      assert.equal(ssl, "t");
      await database.close();
    });

    test("is refused when the certificate is another name's, or nobody's that we trust", async () => {
      const checked = { sslMode: "verify-full" as const, caFile: server.caFile };
      await refused(server.database(checked), "STORAGE_LOGIN_REFUSED", /127\.0\.0\.1/);
      await refused(server.database({ ...host("localhost"), ...checked, caFile: null }), "STORAGE_LOGIN_REFUSED", /certificate/);
      await opens(server.database({ ...checked, sslMode: "verify-ca" }));
      await opens(server.database({ ...checked, sslMode: "require", caFile: null }));
    });

    test("says what is wrong with the login", async () => {
      await refused(server.database({ password: new Secret("another") }), "STORAGE_LOGIN_REFUSED", /password/);
      await refused({ ...server.database(), database: "nowhere" }, "STORAGE_LOGIN_REFUSED", /"nowhere" does not exist/);
      const [port = 0] = await freePorts(1);
      await refused(
        server.database({ servers: [{ host: "127.0.0.1", port }] }),
        "UNAVAILABLE",
        new RegExp(`127\\.0\\.0\\.1:${port}`),
      );
    });

    test("to a database that is no UTF-8 is refused", async () => {
      server.sql("postgres", "create database latin owner mezite encoding latin1 locale 'C' template template0");
      await refused({ ...server.database(), database: "latin" }, "STORAGE_UNSUITABLE", /UTF8/);
    });

    test("passes by servers that do not answer", async () => {
      const [port = 0] = await freePorts(1);
      const servers = [port, server.port].map((each) => ({ host: "127.0.0.1", port: each }));
      await opens(server.database({ servers }));
    });
  });

  test("a commit is on the disk of the server when it is acknowledged, whatever its default is", async () => {
    const settings = server.database();
    for (const [byDefault, used] of [
      ["off", "on"],
      ["remote_apply", "remote_apply"],
    ]) {
      server.sql("postgres", `alter database ${settings.database} set synchronous_commit = ${byDefault}`);
      const { database, close } = await open(settings);
      const shown = await database.transaction(({ em }) =>
        em.getConnection().execute("show synchronous_commit", [], "all", em.getTransactionContext()),
      );
      assert.deepEqual(shown, [{ synchronous_commit: used }]);
      await close();
    }
  });

  test("of two processes that write at full speed one is killed: nothing acknowledged is lost, and the other goes on", async () => {
    const place = server.database();
    await (await openCrashDatabase(place)).close();
    const acknowledged: string[] = [];
    const write = (round: string) => {
      const child = spawnCrashWriter(place, round);
      createInterface({ input: child.stdout }).on("line", (name) => acknowledged.push(name));
      return {
        child,
        ended: once(child, "exit"),
        wrote: () => acknowledged.filter((name) => name.startsWith(`${round}-`)).length,
      };
    };
    const steady = write("steady");
    for (let round = 0; round < 4; round += 1) {
      const killed = write(`killed${round}`);
      const killAfter = 1 + Math.floor(Math.random() * 300);
      await eventually(() => killed.wrote() >= killAfter);
      killed.child.kill("SIGKILL");
      await killed.ended;
      const before = steady.wrote();
      await eventually(() => steady.wrote() > before);
    }
    steady.child.kill("SIGKILL");
    await steady.ended;
    await requireWhole(place, acknowledged);
  });

  suite("a database that goes away", () => {
    const Note = defineEntity({ name: "LossNote", tableName: "loss_notes", properties: { text: p.text().primary() } });
    class CreateNotes extends Migration {
      override up(): void {
        this.addSql("create table loss_notes (text text primary key)");
      }
    }
    let settings: PostgresqlSettings;
    let opened: OpenDatabase;
    before(async () => {
      settings = server.database();
      opened = await openDatabase({
        driver: driverOf(settings),
        plugins: [{ id: "loss", entities: [Note], migrations: [{ name: "001", class: CreateNotes }] }],
        sinks: () => [],
        clock: systemClock,
        clusterName: "test",
        logger: silentLogger,
        onCommitted() {},
      });
      await opened.follow();
    });
    after(() => opened.close());
    const write = (text: string) => opened.database.transaction((tx) => tx.em.insert(Note, { text }));
    const count = () => opened.database.read((em) => em.count(Note));
    const cutAll = () =>
      server.sql(
        "postgres",
        `select count(pg_terminate_backend(pid)) from pg_stat_activity where datname = '${settings.database}'`,
      );

    test("between two transactions: nobody notices", async () => {
      for (let round = 0; round < 5; round += 1) {
        cutAll();
        await write(`round ${round}`);
        cutAll();
        assert.equal(await count(), round + 1);
      }
    });

    test("inside a transaction: it has not happened, and those that wait go on", async () => {
      const before = await count();
      const [lost, next] = await Promise.allSettled([
        opened.database.transaction(async (tx) => {
          await tx.em.insert(Note, { text: "lost" });
          cutAll();
          await tx.em.insert(Note, { text: "lost too" });
        }),
        write("next"),
      ]);
      assert.ok(lost.status === "rejected" && isMezError(lost.reason, "UNAVAILABLE"));
      assert.equal(next.status, "fulfilled");
      assert.equal(await count(), before + 1);
    });

    test("for a while: transactions wait, then fail, and work again when it is back", async () => {
      await server.kill();
      const waiting = write("patient");
      const tooLong = opened.database.transaction((tx) => tx.em.insert(Note, { text: "patient too" }));
      await server.resume();
      await Promise.all([waiting, tooLong]);
      await server.stop();
      await assert.rejects(write("impatient"), (error) => isMezError(error, "UNAVAILABLE"));
      await assert.rejects(count(), (error) => isMezError(error, "UNAVAILABLE"));
      await server.resume();
      await write("back");
      assert.equal(await opened.database.read((em) => em.count(Note, { text: { $in: ["impatient"] } })), 0);
    });
  });
});
