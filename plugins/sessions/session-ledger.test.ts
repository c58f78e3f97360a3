import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, beforeEach, describe, test } from "node:test";
import { isMezError } from "../../core/errors/error.js";
import { openTestDatabase, type TestDatabase } from "../../test/fixtures/database.js";
import type { StartedSession } from "./api.js";
import type { Reporter, SessionEvent } from "./live-session.js";
import { CreateLiveSessions } from "./migrations/001-live-sessions.js";
import { CreateSessionReporters } from "./migrations/002-session-reporters.js";
import { SessionLedger } from "./session-ledger.js";
import { SESSION_ENTITIES } from "./session-repository.js";
import { SessionService } from "./session-service.js";

const NODE: Reporter = { role: "node", name: "web-01", id: "agent-1" };
const NODES = { get: (name: string) => ({ id: "agent-1", name, kind: "agent", hostname: "", labels: { env: "test" } }) as const };
const PROXY: Reporter = { role: "proxy", name: "proxy", id: "agent-2" };

function sessionOf(changes: Partial<StartedSession> = {}): StartedSession {
  return {
    ...{ id: randomUUID(), kind: "ssh", user: "alice", roles: ["access"], login: "deploy", node: "web-01" },
    ...{ clientAddress: "192.0.2.7", startedAt: new Date("2026-03-01T00:00:00Z") },
    ...changes,
  };
}

const started = (session: StartedSession): SessionEvent => ({
  ...{ sessionId: session.id, number: 1, at: session.startedAt },
  event: { kind: "started", session },
});

const exec = (id: string, number: number, command: string): SessionEvent => ({
  ...{ sessionId: id, number, at: new Date("2026-03-01T00:00:10Z") },
  event: { kind: "exec", command, channel: number - 2 },
});

const ended = (id: string, number: number): SessionEvent => ({
  ...{ sessionId: id, number, at: new Date("2026-03-01T00:01:00Z") },
  event: { kind: "ended", reason: "the client left", bytesIn: 10, bytesOut: 20 },
});

describe("the list of live sessions", () => {
  let opened: TestDatabase;
  let ledger: SessionLedger;
  let service: SessionService;
  let now: Date;
  let limit: number;
  const databases: TestDatabase[] = [];

  beforeEach(async () => {
    opened = await openTestDatabase({
      entities: SESSION_ENTITIES,
      migrations: [
        { name: "001-live-sessions", class: CreateLiveSessions },
        { name: "002-session-reporters", class: CreateSessionReporters },
      ],
    });
    databases.push(opened);
    now = new Date("2026-03-01T01:00:00Z");
    limit = 0;
    restart();
  });
  after(async () => {
    for (const database of databases) await database.close();
  });

  /** The auth service comes back with what is in its database. */
  function restart(): void {
    const clock = { now: () => now };
    ledger = new SessionLedger({ database: opened.database, clock, nodes: NODES, settings: { get: <T>() => limit as T } });
    service = new SessionService({ database: opened.database, ledger, clock, confirmMs: 30 });
  }

  const ids = async () => (await ledger.list()).map(({ id }) => id);
  const audited = () => opened.audits.map(({ type, success }) => (success ? type : `${type} lost`));

  test("shows a session from its start to its end, and audits each step with the node's id", async () => {
    const session = sessionOf();
    await ledger.report(NODE, "p1", [started(session), exec(session.id, 2, "uptime")], null);
    const [row] = await ledger.list();
    assert.deepEqual([row?.user, row?.roles, row?.login, row?.startedAt], ["alice", ["access"], "deploy", session.startedAt]);
    await ledger.report(NODE, "p1", [ended(session.id, 3)], null);
    assert.deepEqual(await ids(), []);
    assert.deepEqual(audited(), ["session.start", "session.exec", "session.end"]);
    const [begin, command, end] = opened.audits;
    assert.deepEqual(
      [begin?.sessionId, begin?.serverId, begin?.serverHostname, begin?.clientIp, begin?.occurredAt],
      [session.id, "agent-1", "web-01", "192.0.2.7", session.startedAt],
    );
    assert.equal(command?.metadata?.["command"], "uptime");
    for (const record of opened.audits) assert.deepEqual(record.resourceLabels, { env: "test" });
    assert.deepEqual([end?.metadata?.["bytes_out"], end?.metadata?.["duration_seconds"]], [20, 60]);
  });

  test("changes nothing when a report comes again, whole or in part, also after the end", async () => {
    const session = sessionOf();
    const all = [started(session), exec(session.id, 2, "a"), exec(session.id, 3, "b"), ended(session.id, 4)];
    for (const [from, to] of [
      [0, 2],
      [0, 3],
      [1, 4],
      [0, 4],
    ] as const) {
      await ledger.report(NODE, "p1", all.slice(from, to), null);
    }
    assert.deepEqual(await ids(), []);
    assert.deepEqual(audited(), ["session.start", "session.exec", "session.exec", "session.end"]);
  });

  test("survives a restart of the auth service, which then asks for the list once", async () => {
    const session = sessionOf();
    assert.equal((await ledger.report(NODE, "p1", [started(session)], null)).wantsLive, true);
    assert.equal((await ledger.report(NODE, "p1", [], { sessions: [session], otherIds: [] })).wantsLive, false);
    restart();
    assert.deepEqual(await ids(), [session.id]);
    assert.equal((await ledger.report(NODE, "p1", [], null)).wantsLive, true);
    assert.equal((await ledger.report(NODE, "p1", [], { sessions: [session], otherIds: [] })).wantsLive, false);
    assert.equal((await ledger.report(NODE, "p1", [], null)).wantsLive, false);
    assert.deepEqual(audited(), ["session.start"]);
  });

  test("ends as lost what a new process of the host no longer has", async () => {
    const [gone, kept] = [sessionOf(), sessionOf()];
    const elsewhere = sessionOf({ node: "web-02" });
    await ledger.report(NODE, "p1", [started(gone), started(kept)], null);
    await ledger.report({ ...NODE, name: "web-02" }, "p9", [started(elsewhere)], null);
    assert.equal((await ledger.report(NODE, "p2", [], null)).wantsLive, true);
    await ledger.report(NODE, "p2", [], { sessions: [], otherIds: [kept.id] });
    assert.deepEqual((await ids()).sort(), [kept.id, elsewhere.id].sort());
    assert.deepEqual(audited().slice(3), ["session.end lost"]);
  });

  test("takes a session on that it had given up", async () => {
    const session = sessionOf();
    await ledger.report(NODE, "p1", [started(session)], null);
    now = new Date(now.getTime() + 11 * 60_000);
    await service.sweep();
    assert.deepEqual(await ids(), []);
    assert.deepEqual(audited(), ["session.start", "session.end lost"]);
    await ledger.report(NODE, "p1", [], { sessions: [session], otherIds: [] });
    assert.deepEqual(await ids(), [session.id]);
  });

  test("gives a process that was heard of ten minutes, and every one after its own start", async () => {
    const session = sessionOf();
    await ledger.report(NODE, "p1", [started(session)], { sessions: [session], otherIds: [] });
    now = new Date(now.getTime() + 9 * 60_000);
    await service.sweep();
    restart();
    now = new Date(now.getTime() + 9 * 60_000);
    await service.sweep();
    assert.deepEqual(await ids(), [session.id]);
  });

  test("takes a node's word over its proxy's, and audits the session once", async () => {
    const session = sessionOf();
    await ledger.report(PROXY, "x", [started({ ...session, login: "" })], null);
    assert.equal((await ledger.list())[0]?.login, "");
    await ledger.report(NODE, "p1", [started(session)], null);
    assert.equal((await ledger.list())[0]?.login, "deploy");
    await ledger.report(PROXY, "x", [started({ ...session, login: "" }), ended(session.id, 2)], null);
    assert.deepEqual(await ids(), [session.id]);
    await ledger.report(NODE, "p1", [ended(session.id, 2)], null);
    assert.deepEqual(audited(), ["session.start", "session.end"]);
  });

  test("audits a session that never reached its node when the proxy reports its end", async () => {
    const session = sessionOf({ login: "" });
    await ledger.report(PROXY, "x", [started(session)], null);
    assert.deepEqual(audited(), []);
    await ledger.report(PROXY, "x", [ended(session.id, 2)], null);
    assert.deepEqual(audited(), ["session.start", "session.end"]);
  });

  test("does not let a node speak of another node's sessions", async () => {
    const session = sessionOf();
    await ledger.report(NODE, "p1", [started(session)], null);
    const other: Reporter = { role: "node", name: "web-02", id: "agent-3" };
    await assert.rejects(ledger.report(other, "p2", [started(session)], null), (error) => isMezError(error, "ACCESS_DENIED"));
    await ledger.report(other, "p2", [ended(session.id, 2), exec(session.id, 3, "rm -rf /")], { sessions: [], otherIds: [] });
    await ledger.report(other, "p2", [started({ ...session, node: "web-02" })], null);
    assert.equal((await ledger.list())[0]?.node, "web-01");
    assert.deepEqual(audited(), ["session.start"]);
  });

  test("terminates a session: the word goes out, the log has it, the end is awaited", async () => {
    const session = sessionOf();
    await ledger.report(NODE, "p1", [started(session)], null);
    const author = { name: "admin", audit: { userRoles: ["admin"], clientIp: "192.0.2.9" } };
    const terminating = new SessionService({
      database: opened.database,
      ledger,
      clock: { now: () => now },
      confirmMs: 60_000,
    }).terminate(session.id, "maintenance", author);
    while (opened.puts.length === 0) await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(opened.puts[0], {
      ...{ name: "session-terminations", key: session.id },
      value: { reason: "maintenance", by: "admin", at: now.toISOString() },
    });
    await ledger.report(NODE, "p1", [ended(session.id, 2)], null);
    assert.equal((await terminating).ended, true);
    assert.deepEqual(audited(), ["session.start", "session.terminated", "session.end"]);
    assert.deepEqual(
      [opened.audits[1]?.userName, opened.audits[1]?.sessionId, opened.audits[1]?.metadata?.["session_user"]],
      ["admin", session.id, "alice"],
    );
    now = new Date(now.getTime() + 11 * 60_000);
    await service.sweep();
    assert.deepEqual(
      opened.removes.map(({ key }) => key),
      [session.id],
    );
    assert.deepEqual(await service.entries(), []);
  });

  test("says when the node did not confirm, and that a session is not there", async () => {
    const session = sessionOf();
    await ledger.report(NODE, "p1", [started(session)], null);
    const author = { name: "admin", audit: {} };
    assert.equal((await service.terminate(session.id, "", author)).ended, false);
    assert.deepEqual(
      (await service.entries()).map(([id]) => id),
      [session.id],
    );
    await ledger.report(NODE, "p1", [ended(session.id, 2)], null);
    await assert.rejects(service.terminate(session.id, "", author), (error) => isMezError(error, "NOT_FOUND"));
    await assert.rejects(service.terminate(randomUUID(), "", author), (error) => isMezError(error, "NOT_FOUND"));
  });

  test("forgets ended sessions after a day", async () => {
    const session = sessionOf();
    await ledger.report(NODE, "p1", [started(session), ended(session.id, 2)], null);
    await service.sweep();
    assert.equal(await rows(opened), 1);
    now = new Date(now.getTime() + 25 * 3_600_000);
    await service.sweep();
    assert.equal(await rows(opened), 0);
  });

  describe("with max_sessions_per_user", () => {
    const begin = (session: StartedSession, reporter = NODE) =>
      ledger.report(reporter, "p1", [started(session)], null, new Set([session.id]));

    test("refuses the session that is one too many, says why, and audits it once", async () => {
      limit = 2;
      const [first, second, third] = [sessionOf(), sessionOf(), sessionOf()];
      assert.deepEqual((await begin(first)).refused, []);
      assert.deepEqual((await begin(second)).refused, []);
      const reason = "alice has 2 sessions, and 2 at once are allowed; end one first";
      assert.deepEqual((await begin(third)).refused, [{ id: third.id, reason }]);
      assert.deepEqual((await begin(third, PROXY)).refused, [{ id: third.id, reason }]);
      assert.deepEqual((await ids()).sort(), [first.id, second.id].sort());
      assert.deepEqual(audited(), ["session.start", "session.start", "access.denied lost"]);
      await ledger.report(NODE, "p1", [ended(first.id, 2)], null);
      assert.deepEqual((await begin(sessionOf())).refused, []);
    });

    test("of sessions that begin at once, as many as there is room for are admitted", async () => {
      limit = 3;
      const other: Reporter = { role: "node", name: "db-01", id: "agent-3" };
      const answers = await Promise.all(
        Array.from({ length: 10 }, (_, index) =>
          index % 2 === 0 ? begin(sessionOf()) : begin(sessionOf({ node: "db-01" }), other),
        ),
      );
      assert.equal(answers.filter(({ refused }) => refused.length === 0).length, 3);
      assert.equal((await ids()).length, 3);
    });

    test("counts a session once that proxy and node tell of", async () => {
      limit = 1;
      const session = sessionOf();
      await begin(session, PROXY);
      assert.deepEqual((await begin(session)).refused, []);
    });

    test("does not count machines, nor the sessions of others", async () => {
      limit = 1;
      for (const user of ["alice", "bob", "identity/ci", "identity/ci"])
        assert.deepEqual((await begin(sessionOf({ user }))).refused, []);
    });

    test("ends nothing that is under way: not when the limit sinks, and not what is told late", async () => {
      const early = [sessionOf(), sessionOf()];
      for (const session of early) await begin(session);
      limit = 1;
      const late = sessionOf();
      const answer = await ledger.report(NODE, "p1", [started(late), ended(late.id, 2)], null);
      assert.deepEqual(answer.refused, []);
      restart();
      assert.deepEqual((await ledger.report(NODE, "p1", [], { sessions: early, otherIds: [] })).refused, []);
      assert.equal((await ids()).length, 2);
      assert.equal((await begin(sessionOf())).refused.length, 1);
    });
  });

  test("keeps a session whose host speaks to another auth server, and sees its end", async () => {
    const session = sessionOf();
    const clock = { now: () => now };
    const elsewhere = new SessionLedger({
      database: opened.database,
      clock,
      nodes: NODES,
      settings: { get: <T>() => limit as T },
    });
    await elsewhere.report(NODE, "p1", [started(session)], { sessions: [session], otherIds: [] });
    now = new Date(now.getTime() + 3_600_000);
    await elsewhere.report(NODE, "p1", [], null);
    await elsewhere.tell();
    now = new Date(now.getTime() + 60_000);
    await service.sweep();
    assert.deepEqual(await ids(), [session.id]);
    const terminating = service.terminate(session.id, "", { name: "alice", audit: {} });
    await elsewhere.report(NODE, "p1", [ended(session.id, 2)], null);
    assert.equal((await terminating).ended, true);
  });
});

// --- internal ---

async function rows({ database }: TestDatabase): Promise<number> {
  return database.read(async (em) => (await em.getConnection().execute("select id from live_sessions")).length);
}
