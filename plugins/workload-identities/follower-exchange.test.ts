import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "../../core/time/clock.js";
import { openTestDatabase } from "../../test/fixtures/database.js";
import { silentLogger } from "../../test/fixtures/silent-logger.js";
import { FOLLOWER_ENTITIES, FollowerExchange } from "./follower-exchange.js";
import { IdentityFollowers } from "./identity-followers.js";
import { CreateWorkloadFollowers } from "./migrations/002-workload-followers.js";

const DAEMON = { name: "web-01", instance: "0b6d1c3e-7a52-4c6e-9a53-0d4b1a7a5a10" };

test("each auth server knows the daemons of the others, until the identity is deleted", async (t) => {
  const opened = await openTestDatabase({
    entities: FOLLOWER_ENTITIES,
    migrations: [{ name: "002-workload-followers", class: CreateWorkloadFollowers }],
  });
  t.after(() => opened.close());
  const [here, there] = [1, 2].map(() => {
    const followers = new IdentityFollowers(systemClock);
    return { followers, exchange: new FollowerExchange(followers, opened.database, silentLogger) };
  }) as [Server, Server];
  here.followers.connected(DAEMON);
  await here.exchange.exchange();
  await there.exchange.exchange();
  const said = (server: Server) =>
    server.followers.all().map(({ name, report }) => [name, report?.trusted.spiffe?.length ?? null]);
  assert.deepEqual(said(there), [["web-01 (instance 0b6d1c3e)", null]]);
  here.followers.report(DAEMON, [Buffer.alloc(32, 1)]);
  await here.exchange.exchange();
  await there.exchange.exchange();
  assert.deepEqual([said(here), said(there)], [[["web-01 (instance 0b6d1c3e)", 1]], [["web-01 (instance 0b6d1c3e)", 1]]]);
  for (const { followers } of [here, there]) followers.forget("web-01");
  await here.exchange.exchange();
  await there.exchange.exchange();
  assert.deepEqual([said(here), said(there)], [[], []]);
});

interface Server {
  readonly followers: IdentityFollowers;
  readonly exchange: FollowerExchange;
}
