import assert from "node:assert/strict";
import test from "node:test";
import type { ErrorCode } from "../../core/errors/codes.js";
import { isMezError } from "../../core/errors/error.js";
import { Secret } from "../../core/plugin/secret.js";
import { systemClock } from "../../core/time/clock.js";
import { FakeGuards } from "../../test/fakes/guards.js";
import { openTestDatabase, type TestDatabase } from "../../test/fixtures/database.js";
import { silentLogger } from "../../test/fixtures/silent-logger.js";
import { LoginSessionRecord } from "../authentication/login-session-repository.js";
import { CreateAuthentication } from "../authentication/migrations/001-authentication.js";
import { AddLoginDevice } from "../authentication/migrations/002-login-device.js";
import { findPassword, PasswordRecord } from "../authentication/password-repository.js";
import { PasswordService } from "../authentication/password-service.js";
import { CreateRoles } from "../roles/migrations/001-roles.js";
import { ROLE_ENTITIES } from "../roles/role-repository.js";
import { RoleService } from "../roles/role-service.js";
import { FirstAdminSetup } from "./first-admin.js";
import { USER_MIGRATIONS } from "./user-migrations.js";
import { USER_ENTITIES } from "./user-repository.js";
import { type NewUser, UserService } from "./user-service.js";

const PASSWORD = new Secret("correct horse battery");
const AUTHOR = {
  caller: {
    kind: "user",
    name: "admin",
    roles: ["admin"],
    traits: { internal: {}, external: {} },
    sessionId: "s-1",
    mustChangePassword: false,
  },
  clientAddress: "192.0.2.7",
  serverFingerprint: null,
  signal: new AbortController().signal,
} as const;

interface World {
  readonly opened: TestDatabase;
  readonly users: UserService;
  readonly roles: RoleService;
  readonly guards: FakeGuards;
  /** Names whose data was deleted. */
  readonly forgotten: string[];
  /** Names whose login sessions have ended, as the process that serves them knows. */
  readonly ended: string[];
  readonly firstStart: (password?: Secret) => FirstAdminSetup;
}

async function inWorld(work: (world: World) => Promise<void>): Promise<void> {
  const opened = await openTestDatabase({
    entities: [...ROLE_ENTITIES, ...USER_ENTITIES, PasswordRecord, LoginSessionRecord],
    migrations: [
      { name: "001-roles", class: CreateRoles },
      ...USER_MIGRATIONS,
      { name: "001-authentication", class: CreateAuthentication },
      { name: "002-login-device", class: AddLoginDevice },
    ],
  });
  const { database } = opened;
  const roles = new RoleService(database, systemClock);
  const ended: string[] = [];
  const passwords = new PasswordService(systemClock, 12, { forget: ({ userName }) => void ended.push(userName) });
  const guards = new FakeGuards();
  const forgotten: string[] = [];
  const data = { all: () => [{ forget: async (_tx: unknown, name: string) => void forgotten.push(name) }] };
  const users = new UserService({ database, clock: systemClock, roles, passwords, guards, data });
  const firstStart = (password: Secret | null = null): FirstAdminSetup =>
    new FirstAdminSetup({ database, users, roles, passwords, logger: silentLogger, password });
  try {
    await work({ opened, users, roles, guards, forgotten, ended, firstStart });
  } finally {
    await opened.close();
  }
}

function newUser(name: string, roles: readonly string[], change: Partial<NewUser> = {}): NewUser {
  return { name, roles, internalTraits: {}, password: PASSWORD, requireChange: false, ...change };
}

async function refuses(promise: Promise<unknown>, code: ErrorCode, message?: RegExp): Promise<void> {
  await assert.rejects(promise, (error) => {
    assert.ok(isMezError(error, code), String(error));
    if (message) assert.match(error.message, message);
    return true;
  });
}

test("a user is stored with roles and traits, published and audited", () =>
  inWorld(async ({ opened, users }) => {
    const { user, oneTimePassword } = await users.create(
      newUser("alice", ["auditor", "access", "access"], { internalTraits: { logins: ["alice", "alice", "ops"] } }),
      AUTHOR,
    );
    assert.equal(oneTimePassword, null);
    assert.deepEqual(user.roles, ["access", "auditor"]);
    const traits = { internal: { logins: ["alice", "ops"] }, external: {} };
    assert.deepEqual((await users.get("alice")).traits, traits);
    assert.deepEqual(
      opened.puts.map(({ name, key, value }) => [name, key, value]),
      [["users", "alice", { roles: ["access", "auditor"], traits, since: user.createdAt.toISOString() }]],
    );
    assert.deepEqual(
      opened.audits.map(({ type, userName, resourceName, clientIp, sessionId }) => [
        type,
        userName,
        resourceName,
        clientIp,
        sessionId,
      ]),
      [["user.created", "admin", "alice", "192.0.2.7", "s-1"]],
    );
    assert.ok(!JSON.stringify(opened.audits).includes("horse"));
  }));

test("a password that the service makes has to be changed, a given one only on request", () =>
  inWorld(async ({ opened, users }) => {
    const { oneTimePassword } = await users.create(newUser("alice", [], { password: null }), AUTHOR);
    await users.create(newUser("bob", []), AUTHOR);
    await users.create(newUser("carol", [], { requireChange: true }), AUTHOR);
    const mustChange = (name: string): Promise<boolean | undefined> =>
      opened.database.read(async (em) => (await findPassword(em, name))?.mustChange);
    assert.deepEqual(await Promise.all(["alice", "bob", "carol"].map(mustChange)), [true, false, true]);
    assert.match(oneTimePassword?.expose() ?? "", /^[A-Za-z2-9]{24}$/);
  }));

const REFUSED: readonly (readonly [what: string, request: NewUser, code: ErrorCode])[] = [
  ["an unknown role", newUser("alice", ["ghost"]), "ROLE_NOT_FOUND"],
  ["an empty name", newUser("", []), "INVALID_ARGUMENT"],
  ["control characters in the name", newUser("a\u0000b", []), "INVALID_ARGUMENT"],
  ["capital letters", newUser("Alice", []), "INVALID_ARGUMENT"],
  ["a name like a flag", newUser("-alice", []), "INVALID_ARGUMENT"],
  ["a long name", newUser("a".repeat(65), []), "INVALID_ARGUMENT"],
  ["a short password", newUser("alice", [], { password: new Secret("short") }), "PASSWORD_REFUSED"],
  ["an empty trait value", newUser("alice", [], { internalTraits: { logins: [""] } }), "INVALID_ARGUMENT"],
  ["a trait name with spaces", newUser("alice", [], { internalTraits: { "a b": ["x"] } }), "INVALID_ARGUMENT"],
];

test("refuses what is not valid and leaves nothing behind", () =>
  inWorld(async ({ opened, users }) => {
    for (const [what, request, code] of REFUSED)
      await refuses(users.create(request, AUTHOR), code).catch((error: unknown) => assert.fail(`${what}: ${String(error)}`));
    assert.deepEqual([await users.list(), opened.puts, opened.audits], [[], [], []]);
    await users.create(newUser("alice", []), AUTHOR);
    await refuses(users.create(newUser("alice", []), AUTHOR), "USER_EXISTS");
    for (const name of ["ghost", "", "\u0000"]) await refuses(users.delete(name, AUTHOR), "USER_NOT_FOUND");
    await refuses(users.update("ghost", { roles: null, internalTraits: {} }, AUTHOR), "USER_NOT_FOUND");
  }));

test("an update replaces what it names and keeps the rest", () =>
  inWorld(async ({ users }) => {
    await users.create(newUser("alice", ["access"], { internalTraits: { logins: ["a"], team: ["core"] } }), AUTHOR);
    await users.update("alice", { roles: null, internalTraits: { logins: ["b"], team: [] } }, AUTHOR);
    assert.deepEqual((await users.get("alice")).traits.internal, { logins: ["b"] });
    assert.deepEqual((await users.get("alice")).roles, ["access"]);
    await users.update("alice", { roles: ["auditor"], internalTraits: {} }, AUTHOR);
    assert.deepEqual((await users.get("alice")).roles, ["auditor"]);
  }));

test("deleting a user removes the password, tells every copy and ends the login sessions", () =>
  inWorld(async ({ opened, users }) => {
    await users.create(newUser("alice", ["access"]), AUTHOR);
    await users.delete("alice", AUTHOR);
    assert.deepEqual(
      opened.removes.map(({ name, key }) => [name, key]),
      [["users", "alice"]],
    );
    assert.deepEqual(opened.events.at(-1)?.value, { userName: "alice" });
    assert.equal(await opened.database.read((em) => findPassword(em, "alice")), null);
    assert.equal(opened.audits.at(-1)?.type, "user.deleted");
  }));

test("what plugins keep of a name goes with its user, and is not there for the next", () =>
  inWorld(async ({ users, forgotten }) => {
    await users.create(newUser("alice", []), AUTHOR);
    await refuses(users.create(newUser("alice", []), AUTHOR), "USER_EXISTS");
    await users.update("alice", { roles: ["access"], internalTraits: {} }, AUTHOR);
    assert.deepEqual(forgotten.splice(0), ["alice"]);
    await users.delete("alice", AUTHOR);
    assert.deepEqual(forgotten.splice(0), ["alice"]);
    await users.create(newUser("alice", []), AUTHOR);
    assert.deepEqual(forgotten, ["alice"]);
  }));

test("login sessions end with the call that resets the password or deletes the user, not when its event comes", () =>
  inWorld(async ({ users, ended }) => {
    await users.create(newUser("alice", []), AUTHOR);
    await users.resetPassword("alice", null, true, AUTHOR);
    assert.deepEqual(ended, ["alice"]);
    await users.delete("alice", AUTHOR);
    assert.deepEqual(ended, ["alice", "alice"]);
  }));

test("the last admin stays, also when two admins delete each other at once", () =>
  inWorld(async ({ users }) => {
    await users.create(newUser("one", ["admin"]), AUTHOR);
    await refuses(users.delete("one", AUTHOR), "LAST_ADMIN");
    await refuses(
      users.update("one", { roles: ["access"], internalTraits: {} }, AUTHOR),
      "LAST_ADMIN",
      /give the role to another user first/,
    );
    await users.create(newUser("two", ["admin"]), AUTHOR);
    const results = await Promise.allSettled([
      users.delete("one", AUTHOR),
      users.delete("two", AUTHOR),
      users.update("one", { roles: [], internalTraits: {} }, AUTHOR),
      users.update("two", { roles: [], internalTraits: {} }, AUTHOR),
    ]);
    assert.equal(results.filter(({ status }) => status === "fulfilled").length, 1);
    assert.equal((await users.list()).filter(({ roles }) => roles.includes("admin")).length, 1);
  }));

test("a role is deleted only when nobody holds it, and built-in roles never", () =>
  inWorld(async ({ users, roles, firstStart }) => {
    const setup = firstStart();
    await setup.start();
    const access = await roles.get("access");
    assert.equal(await roles.put({ ...access, name: "dev" }, AUTHOR), true);
    assert.equal(await roles.put({ ...access, name: "dev", description: "again" }, AUTHOR), false);
    await users.create(newUser("alice", ["dev"]), AUTHOR);
    await refuses(roles.delete("dev", AUTHOR), "ROLE_IN_USE", /held by alice/);
    await users.update("alice", { roles: [], internalTraits: {} }, AUTHOR);
    await roles.delete("dev", AUTHOR);
    await refuses(roles.delete("dev", AUTHOR), "ROLE_NOT_FOUND");
    for (const name of ["admin", "access", "auditor"]) {
      await refuses(roles.delete(name, AUTHOR), "ROLE_BUILT_IN");
      await refuses(roles.put({ ...access, name }, AUTHOR), "ROLE_BUILT_IN");
    }
    assert.deepEqual(
      (await roles.list()).map(({ name }) => name),
      ["access", "admin", "auditor"],
    );
    await setup.dispose();
  }));

test("the first admin is made when everything runs, once, and the password handed over", () =>
  inWorld(async ({ users, firstStart }) => {
    const setup = firstStart();
    await setup.start();
    assert.deepEqual(await users.list(), []);
    const made = await setup.makeAdmin();
    assert.equal(made?.userName, "admin");
    assert.ok((made?.password.expose().length ?? 0) >= 20);
    assert.equal(await setup.makeAdmin(), null);
    const [admin] = await users.list();
    assert.deepEqual([admin?.roles, Object.keys(admin?.traits.internal ?? {})], [["access", "admin"], ["logins"]]);
    const second = firstStart();
    await second.start();
    assert.equal(await second.makeAdmin(), null);
    assert.equal((await users.list()).length, 1);
    await setup.dispose();
    await second.dispose();
  }));

test("a password from the configuration is not handed over", () =>
  inWorld(async ({ users, firstStart }) => {
    const setup = firstStart(PASSWORD);
    await setup.start();
    assert.equal(await setup.makeAdmin(), null);
    assert.equal((await users.list()).length, 1);
    await setup.dispose();
  }));

test("an admin who is locked does not count: the last one who can get in stays, and takes on no locked role", () =>
  inWorld(async ({ users, guards }) => {
    await users.create(newUser("one", ["admin"]), AUTHOR);
    await users.create(newUser("two", ["admin"]), AUTHOR);
    guards.refuse(({ user, roles = [] }) => user === "two" || roles.includes("auditor"));
    await refuses(users.delete("one", AUTHOR), "LAST_ADMIN", /every other user with role admin is locked; "one" has to keep it/);
    await refuses(users.update("one", { roles: ["access"], internalTraits: {} }, AUTHOR), "LAST_ADMIN");
    await refuses(users.update("one", { roles: ["admin", "auditor"], internalTraits: {} }, AUTHOR), "LAST_ADMIN");
    await users.update("one", { roles: ["admin", "access"], internalTraits: {} }, AUTHOR);
    await users.delete("two", AUTHOR);
    guards.refuse(() => false);
  }));
