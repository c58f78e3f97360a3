import assert from "node:assert/strict";
import { test } from "node:test";
import type { LiveSession } from "../../core/plugin/live-sessions.js";
import { ProcessLiveSessions } from "../../core/sessions/live-sessions.js";
import { silentLogger } from "../../test/fixtures/silent-logger.js";
import { IdleEnforcer } from "./idle-enforcer.js";

class World {
  limit = 60;
  now = 0;
  readonly ends: string[] = [];
  readonly live = new ProcessLiveSessions();
  readonly enforcer = new IdleEnforcer({
    liveSessions: this.live,
    settings: { get: <T>() => this.limit as T },
    logger: silentLogger,
    now: () => this.now * 1000,
  });

  begin(id: string, activity: number | undefined): { activity: number | undefined } {
    const session = {
      ...{ id, user: "alice", roles: [], login: "deploy", node: "web-01", clientAddress: "", startedAt: new Date(0) },
      activity,
      end: (reason: string) => void this.ends.push(`${id}: ${reason}`),
    };
    this.live.add(session as LiveSession);
    return session;
  }

  /** Looks now and at each of the following seconds. */
  pass(seconds: number): void {
    for (let second = 0; second < seconds; second++) {
      this.enforcer.check();
      this.now += 1;
    }
    this.enforcer.check();
  }
}

test("ends a session in which nothing was sent for the time that is set, with a reason", () => {
  const world = new World();
  world.begin("a", 7);
  world.pass(59);
  assert.deepEqual(world.ends, []);
  world.pass(1);
  assert.deepEqual(world.ends.slice(0, 1), ["a: session ended: nothing was sent for 1m, and idle sessions end after that"]);
});

test("data either way begins the time anew", () => {
  const world = new World();
  const session = world.begin("a", 0);
  for (let minute = 0; minute < 5; minute++) {
    world.pass(59);
    session.activity = minute + 1;
  }
  world.pass(1);
  assert.deepEqual(world.ends, []);
});

test("a shorter time holds at once for sessions that are under way, with what they were idle already", () => {
  const world = new World();
  world.limit = 0;
  world.begin("a", 0);
  world.pass(3600);
  assert.deepEqual(world.ends, []);
  world.limit = 900;
  world.enforcer.check();
  assert.equal(world.ends.length, 1);
});

test("a session that nobody counts is never idle", () => {
  const world = new World();
  world.begin("a", undefined);
  world.pass(3600);
  assert.deepEqual(world.ends, []);
});
