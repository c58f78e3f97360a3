import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import { isMezError } from "../../core/errors/error.js";
import { deriveJoinTokenKeys } from "../../core/join/join-token-keys.js";
import { openTestDatabase, type TestDatabase } from "../../test/fixtures/database.js";
import { CreateJoinTokens } from "./migrations/001-join-tokens.js";
import { TOKEN_ENTITIES } from "./token-repository.js";
import { TokenService } from "./token-service.js";

const ADMIN = { name: "root-admin", roles: ["admin"], clientAddress: "192.0.2.7" };
const clock = { time: Date.parse("2026-01-01T00:00:00Z"), now: () => new Date(clock.time) };
let opened: TestDatabase;
let tokens: TokenService;

before(async () => {
  opened = await openTestDatabase({
    entities: TOKEN_ENTITIES,
    migrations: [{ name: "001-join-tokens", class: CreateJoinTokens }],
  });
  tokens = new TokenService(opened.database, clock);
});
after(() => opened.close());

test("makes a token that lives an hour, lists it without its secret, and audits it", async () => {
  const { token, secret } = await tokens.create({ roles: ["node", "node"], name: "first" }, ADMIN);
  assert.equal(token.expiresAt.toISOString(), "2026-01-01T01:00:00.000Z");
  assert.deepEqual(token.roles, ["node"]);
  assert.deepEqual(await tokens.list(), [token]);
  const audited = opened.audits.find((event) => event.type === "token.created");
  assert.deepEqual([audited?.userName, audited?.resourceName, audited?.clientIp], ["root-admin", "first", "192.0.2.7"]);
  assert.ok(!JSON.stringify([await tokens.list(), opened.audits]).includes(secret.expose()));
});

test("the database file holds neither the token nor the client's private key", async () => {
  const { secret } = await tokens.create({ roles: ["node"] }, ADMIN);
  const token = Buffer.from(secret.expose(), "hex");
  for (const file of [opened.path, `${opened.path}-wal`]) {
    const bytes = await readFile(file);
    for (const form of [secret.expose(), token, token.toString("base64").slice(0, 40)]) assert.ok(!bytes.includes(form));
  }
});

for (const [request, message] of [
  [{ roles: [] }, /needs a role; use one of node, proxy/],
  [{ roles: ["auth"] }, /role "auth" cannot join with a token; use one of node, proxy/],
  [{ roles: ["node", "root"] }, /role "root"/],
  [{ roles: ["node"], ttlSeconds: 59 }, /59s; use 1m to 24h/],
  [{ roles: ["node"], ttlSeconds: 86_401 }, /1d1s; use 1m to 24h/],
  [{ roles: ["node"], name: "a b" }, /token name "a b" is not valid/],
  [{ roles: ["node"], name: "x\0" }, /is not valid/],
  [{ roles: ["node"], name: "0".repeat(32) }, /is not valid/],
] as const) {
  test(`refuses ${JSON.stringify(request)}`, async () => {
    await assert.rejects(
      tokens.create(request, ADMIN),
      (error) => isMezError(error, "INVALID_ARGUMENT") && message.test(error.message),
    );
  });
}

test("a name is unique among the tokens that can be used", async () => {
  const { token } = await tokens.create({ roles: ["node"], name: "twice" }, ADMIN);
  await assert.rejects(tokens.create({ roles: ["node"], name: "twice" }, ADMIN), (error) => isMezError(error, "ALREADY_EXISTS"));
  await tokens.delete("twice", ADMIN);
  assert.equal(opened.audits.at(-1)?.type, "token.deleted");
  await tokens.create({ roles: ["node"], name: "twice" }, ADMIN);
  await assert.rejects(tokens.delete(token.id, ADMIN), (error) => isMezError(error, "NOT_FOUND"));
});

test("is redeemed once; the same request again is granted again, another one is not", async () => {
  const { token } = await tokens.create({ roles: ["proxy"] }, ADMIN);
  const id = Buffer.from(token.id, "hex");
  const [mine, other] = [randomBytes(32), randomBytes(32)];
  const redeem = (hash: Buffer) => opened.database.transaction((tx) => tokens.redeem(tx, id, hash));
  assert.deepEqual((await redeem(mine)).roles, ["proxy"]);
  assert.equal((await redeem(mine)).id, token.id);
  await assert.rejects(redeem(other), (error) => isMezError(error, "JOIN_REFUSED"));
  assert.ok(!(await tokens.list()).some((active) => active.id === token.id));
});

test("a redemption that is rolled back leaves the token unused", async () => {
  const { token } = await tokens.create({ roles: ["node"] }, ADMIN);
  const id = Buffer.from(token.id, "hex");
  const work = opened.database.transaction(async (tx) => {
    await tokens.redeem(tx, id, randomBytes(32));
    throw new Error("the node could not be stored");
  });
  await assert.rejects(work);
  assert.ok((await tokens.list()).some((active) => active.id === token.id));
});

test("of 50 redemptions at once, one wins", async () => {
  const { token } = await tokens.create({ roles: ["node"] }, ADMIN);
  const id = Buffer.from(token.id, "hex");
  const all = Array.from({ length: 50 }, () => opened.database.transaction((tx) => tokens.redeem(tx, id, randomBytes(32))));
  const results = await Promise.allSettled(all);
  assert.equal(results.filter((result) => result.status === "fulfilled").length, 1);
  assert.ok(results.every((result) => result.status === "fulfilled" || isMezError(result.reason, "JOIN_REFUSED")));
});

test("an expired token is refused, no longer listed, and swept away", async () => {
  const { token, secret } = await tokens.create({ roles: ["node"], ttlSeconds: 60 }, ADMIN);
  const { id } = deriveJoinTokenKeys(secret);
  const known = () => opened.database.read((em) => tokens.serverKeys(em, id));
  assert.deepEqual((await known())?.id, id);
  clock.time += 60_000;
  assert.equal(await known(), null);
  await assert.rejects(
    opened.database.transaction((tx) => tokens.redeem(tx, id, randomBytes(32))),
    (error) => isMezError(error, "JOIN_REFUSED"),
  );
  assert.ok(!(await tokens.list()).some((active) => active.id === token.id));
  assert.equal(await tokens.sweep(), 1);
  assert.equal(await tokens.sweep(), 0);
});
