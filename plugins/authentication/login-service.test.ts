import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import test from "node:test";
import { MezError } from "../../core/errors/error.js";
import { CollectionRegistry, kindId } from "../../core/events/collections.js";
import { AttemptLimiter } from "../../core/plugin/attempt-limiter.js";
import type { Caller } from "../../core/plugin/caller.js";
import type { PortView } from "../../core/plugin/contract.js";
import { Secret } from "../../core/plugin/secret.js";
import type { Connector } from "../../core/ports/connector.js";
import type { LoginStep } from "../../core/ports/login-step.js";
import { FakeGuards } from "../../test/fakes/guards.js";
import { openTestDatabase, type TestDatabase } from "../../test/fixtures/database.js";
import { refuses } from "../../test/fixtures/refuses.js";
import { ROLES_COLLECTION, USERS_COLLECTION } from "../roles/api.js";
import { BUILT_IN_ROLES } from "../roles/built-in-roles.js";
import { LiveAccess } from "../roles/live-access.js";
import { LoginService, type OpenedSession, type UnfinishedLogin } from "./login-service.js";
import { deleteSession, LoginSessionRecord } from "./login-session-repository.js";
import { LoginSessions } from "./login-sessions.js";
import { CreateAuthentication } from "./migrations/001-authentication.js";
import { AddLoginDevice } from "./migrations/002-login-device.js";
import { OutsideLogin } from "./outside-login.js";
import { findPassword, PasswordRecord, savePassword } from "./password-repository.js";
import { PasswordService } from "./password-service.js";
import { SessionAuthenticator } from "./session-authenticator.js";

const OLD = new Secret("correct horse battery");
const NEW = new Secret("staple of another kind");
const ADDRESS = "192.0.2.7";

const NO_CONNECTORS: PortView<Connector> = {
  names: () => [],
  all: () => [],
  get: () => assert.fail("there is no connector"),
};

class World {
  now = new Date("2026-03-01T12:00:00Z");
  readonly clock = { now: (): Date => this.now };
  readonly registry = new CollectionRegistry();
  readonly guards = new FakeGuards();
  readonly steps = new Map<string, LoginStep>();
  demandedSteps: readonly string[] = [];
  readonly passwords: PasswordService;
  readonly sessions: LoginSessions;
  readonly login: LoginService;
  readonly authenticator: SessionAuthenticator;

  constructor(readonly opened: TestDatabase) {
    const users = this.registry.of(USERS_COLLECTION);
    for (const role of BUILT_IN_ROLES) this.set(ROLES_COLLECTION, role.name, role);
    const short = {
      ...BUILT_IN_ROLES[0]!,
      name: "short",
      options: { ...BUILT_IN_ROLES[0]!.options, maxSessionTtlSeconds: 3600 },
    };
    this.set(ROLES_COLLECTION, "short", short);
    this.sessions = new LoginSessions(opened.database, this.clock);
    this.passwords = new PasswordService(this.clock, 12, this.sessions);
    const access = new LiveAccess(this.registry.of(ROLES_COLLECTION), users);
    this.authenticator = new SessionAuthenticator(this.sessions, users, access, this.guards, opened.database);
    this.login = new LoginService({
      database: opened.database,
      clock: this.clock,
      users,
      access,
      limiter: new AttemptLimiter(this.clock, { freePerUser: 5, freePerAddress: 30, windowSeconds: 900, maxDelaySeconds: 900 }),
      sessions: this.sessions,
      passwords: this.passwords,
      guards: this.guards,
      steps: { names: () => [...this.steps.keys()].sort(), get: (name) => this.steps.get(name) as LoginStep },
      outside: new OutsideLogin({ connectors: NO_CONNECTORS, users: () => null, rules: [] }),
      demandedSteps: () => this.demandedSteps,
      defaultTtlSeconds: () => 43_200,
    });
  }

  set(kind: { name: string; version: number }, key: string, value: unknown): void {
    this.registry.apply([{ kind: kindId(kind as never), key, value }]);
  }

  async addUser(
    name: string,
    { roles = ["access"], mustChange = false }: { roles?: readonly string[]; mustChange?: boolean } = {},
  ): Promise<void> {
    const prepared = await this.passwords.prepare(name, OLD);
    await this.opened.database.transaction((tx) => this.passwords.set(tx, name, prepared, mustChange));
    this.set(USERS_COLLECTION, name, { roles, traits: { internal: {}, external: {} } });
  }

  async logIn(
    userName: string,
    password = OLD,
    change: { newPassword?: Secret; ttlSeconds?: number } = {},
  ): Promise<OpenedSession> {
    const opened = await this.attempt(userName, password, change);
    assert.ok("token" in opened, "a step wants more");
    return opened;
  }

  attempt(
    userName: string,
    password = OLD,
    change: { newPassword?: Secret; ttlSeconds?: number; answers?: Readonly<Record<string, string>> } = {},
  ): Promise<OpenedSession | UnfinishedLogin> {
    const answers = Object.entries(change.answers ?? {}).map(([step, text]) => [step, Buffer.from(text)] as const);
    return this.login.logIn({
      connector: null,
      userName,
      password,
      newPassword: change.newPassword ?? null,
      ttlSeconds: change.ttlSeconds ?? 0,
      clientAddress: ADDRESS,
      answers: new Map(answers),
    });
  }

  callerOf({ token }: OpenedSession): Promise<Caller | null> {
    return this.authenticator.authenticate({ bearerToken: token.expose(), clientCertificate: null, clientAddress: ADDRESS });
  }

  async personOf(session: OpenedSession): Promise<Caller & { kind: "user" }> {
    const caller = await this.callerOf(session);
    assert.equal(caller?.kind, "user");
    return caller as Caller & { kind: "user" };
  }
}

async function inWorld(work: (world: World) => Promise<void>): Promise<void> {
  const opened = await openTestDatabase({
    entities: [PasswordRecord, LoginSessionRecord],
    migrations: [
      { name: "001-authentication", class: CreateAuthentication },
      { name: "002-login-device", class: AddLoginDevice },
    ],
  });
  try {
    await work(new World(opened));
  } finally {
    await opened.close();
  }
}

test("a login gives a token of 256 bits, of which the database holds only the hash", () =>
  inWorld(async (world) => {
    await world.addUser("alice");
    const session = await world.logIn("alice");
    assert.match(session.token.expose(), /^[A-Za-z0-9_-]{43}$/);
    assert.equal(session.expiresAt.toISOString(), "2026-03-02T00:00:00.000Z");
    const person = await world.personOf(session);
    assert.deepEqual([person.name, person.roles, person.mustChangePassword], ["alice", ["access"], false]);
    const rows = await world.opened.database.read((em) => em.find(LoginSessionRecord, {}));
    assert.ok(!JSON.stringify(rows).includes(session.token.expose()));
    assert.deepEqual(
      world.opened.audits.map(({ type, sessionId, clientIp }) => [type, sessionId, clientIp]),
      [["user.login", person.sessionId, ADDRESS]],
    );
  }));

test("every kind of wrong credentials gets the same answer; only the audit log knows which", () =>
  inWorld(async (world) => {
    await world.addUser("alice");
    const messages = new Set<string>();
    for (const [name, password] of [
      ["alice", "wrong"],
      ["ghost", "wrong"],
      ["", ""],
      ["My Secret!", "x"],
      ["alice", "x".repeat(10_000)],
      ["a\u0000b", "x"],
      ["x".repeat(70_000), "x"],
    ] as const) {
      messages.add(await refuses(world.logIn(name, new Secret(password)), "INVALID_CREDENTIALS"));
    }
    assert.deepEqual([...messages], ["invalid credentials"]);
    const told = world.opened.audits.map(({ type, userName, success, metadata }) => [
      type,
      userName,
      success,
      metadata?.["reason"],
    ]);
    assert.deepEqual(told.slice(0, 4), [
      ["user.login.failed", "alice", false, "wrong password"],
      ["user.login.failed", "ghost", false, "unknown user"],
      ["user.login.failed", "", false, "unknown user"],
      ["user.login.failed", "", false, "unknown user"],
    ]);
  }));

test("guessing is slowed down for a name that exists and one that does not, and ends with a right password after the wait", () =>
  inWorld(async (world) => {
    await world.addUser("alice");
    for (const name of ["alice", "ghost"]) {
      for (let count = 0; count < 5; count++) await refuses(world.logIn(name, NEW), "INVALID_CREDENTIALS");
      assert.equal(await refuses(world.logIn(name, NEW), "TOO_MANY_ATTEMPTS"), "too many failed attempts; try again in 1s");
    }
    await refuses(world.logIn("alice"), "TOO_MANY_ATTEMPTS");
    world.now = new Date(world.now.getTime() + 1000);
    await world.logIn("alice");
    await refuses(world.logIn("alice", NEW), "INVALID_CREDENTIALS");
  }));

test("a one-time password opens a session that knows it, and is changed on the way in", () =>
  inWorld(async (world) => {
    await world.addUser("alice", { mustChange: true });
    const first = await world.logIn("alice");
    assert.equal(first.mustChangePassword, true);
    assert.equal((await world.personOf(first)).mustChangePassword, true);
    await refuses(world.logIn("alice", OLD, { newPassword: OLD }), "PASSWORD_REFUSED");
    await refuses(world.logIn("alice", OLD, { newPassword: new Secret("short") }), "PASSWORD_REFUSED");
    const second = await world.logIn("alice", OLD, { newPassword: NEW });
    assert.equal(second.mustChangePassword, false);
    assert.equal((await world.personOf(second)).mustChangePassword, false);
    await refuses(world.callerOf(first), "UNAUTHENTICATED");
    await refuses(world.logIn("alice", OLD), "INVALID_CREDENTIALS");
    assert.equal((await world.logIn("alice", NEW)).mustChangePassword, false);
    assert.ok(world.opened.audits.some(({ type }) => type === "user.password.changed"));
  }));

test("changing the password keeps this session and ends the others", () =>
  inWorld(async (world) => {
    await world.addUser("alice", { mustChange: true });
    const [kept, ended] = [await world.logIn("alice"), await world.logIn("alice")];
    const person = await world.personOf(kept);
    await world.personOf(ended);
    await refuses(world.login.changePassword(person, NEW, NEW, ADDRESS), "INVALID_CREDENTIALS");
    await world.login.changePassword(person, OLD, NEW, ADDRESS);
    assert.equal((await world.personOf(kept)).mustChangePassword, false);
    await refuses(world.callerOf(ended), "UNAUTHENTICATED");
  }));

test("a session ends by logout, by expiry, and with its user", () =>
  inWorld(async (world) => {
    await world.addUser("alice", { roles: ["short"] });
    const [one, two, three] = [
      await world.logIn("alice"),
      await world.logIn("alice", OLD, { ttlSeconds: 86_400 }),
      await world.logIn("alice", OLD, { ttlSeconds: 60 }),
    ];
    assert.equal(two.notice, "shortened from 1d to 1h: max_session_ttl of your roles");
    await world.login.logOut(await world.personOf(one), ADDRESS);
    await refuses(world.callerOf(one), "UNAUTHENTICATED");
    await world.personOf(two);
    await world.personOf(three);
    world.now = new Date(world.now.getTime() + 60_000);
    await refuses(world.callerOf(three), "UNAUTHENTICATED");
    await world.personOf(two);
    world.set(USERS_COLLECTION, "alice", undefined);
    await refuses(world.callerOf(two), "UNAUTHENTICATED");
  }));

test("a session that another server ended is over within seconds, also when this one never hears of it", () =>
  inWorld(async (world) => {
    await world.addUser("alice");
    const session = await world.logIn("alice");
    const { sessionId } = await world.personOf(session);
    await world.opened.database.transaction((tx) => deleteSession(tx.em, sessionId));
    await world.personOf(session);
    world.now = new Date(world.now.getTime() + 5_000);
    await refuses(world.callerOf(session), "UNAUTHENTICATED");
    assert.equal(await world.sessions.expiryOf(sessionId), undefined);
  }));

test("unknown tokens are refused, words of another form are left to others", () =>
  inWorld(async (world) => {
    const authenticate = (bearerToken: string | null): Promise<Caller | null> =>
      world.authenticator.authenticate({ bearerToken, clientCertificate: null, clientAddress: ADDRESS });
    await refuses(authenticate(randomBytes(32).toString("base64url")), "UNAUTHENTICATED");
    for (const word of [null, "", "x", "eyJhbGciOi.x.y", "a".repeat(44)]) assert.equal(await authenticate(word), null);
  }));

test("expired sessions are deleted and the use of others is noted", () =>
  inWorld(async (world) => {
    await world.addUser("alice");
    await world.logIn("alice", OLD, { ttlSeconds: 60 });
    const lasting = await world.logIn("alice");
    world.now = new Date(world.now.getTime() + 61_000);
    await world.personOf(lasting);
    await world.sessions.tidy();
    const rows = await world.opened.database.read((em) => em.find(LoginSessionRecord, {}));
    assert.deepEqual(
      rows.map(({ lastUsedAt }) => lastUsedAt),
      [world.now],
    );
  }));

test("a password that was reset during a login opens nothing", () =>
  inWorld(async (world) => {
    await world.addUser("alice");
    const prepared = await world.passwords.prepare("alice", NEW);
    const pending = world.logIn("alice");
    await world.opened.database.transaction((tx) => world.passwords.set(tx, "alice", prepared, false));
    await refuses(pending, "INVALID_CREDENTIALS");
  }));

test("a hash made with other costs is renewed at the next login", () =>
  inWorld(async (world) => {
    await world.addUser("alice");
    const { argon2Sync } = await import("node:crypto");
    const salt = Buffer.from("saltsaltsaltsalt");
    const weak = argon2Sync("argon2id", {
      message: OLD.expose(),
      nonce: salt,
      memory: 64,
      passes: 1,
      parallelism: 1,
      tagLength: 32,
    });
    const phc = (bytes: Buffer): string => bytes.toString("base64").replace(/=+$/, "");
    await world.opened.database.transaction((tx) =>
      savePassword(
        tx.em,
        "alice",
        { hash: new Secret(`$argon2id$v=19$m=64,t=1,p=1$${phc(salt)}$${phc(weak)}`), mustChange: false },
        world.now,
      ),
    );
    await world.logIn("alice");
    const stored = await world.opened.database.read((em) => findPassword(em, "alice"));
    assert.match(stored?.hash.expose() ?? "", /^\$argon2id\$v=19\$m=19456,t=2,p=1\$/);
    await world.logIn("alice");
  }));

test("somebody who is locked is told so after the right password only, and gets no session", async () => {
  await inWorld(async (world) => {
    await world.addUser("alice");
    const before = await world.logIn("alice");
    world.guards.refuse(({ user }) => user === "alice");
    assert.equal(await refuses(world.logIn("alice", NEW), "INVALID_CREDENTIALS"), "invalid credentials");
    assert.equal(await refuses(world.logIn("alice"), "ACCESS_DENIED"), "locked for a test");
    assert.equal(await refuses(world.callerOf(before), "ACCESS_DENIED"), "locked for a test");
    const [login, call] = world.opened.audits.slice(-2);
    assert.deepEqual([login?.type, call?.type], ["user.login.failed", "access.denied"]);
    for (const event of [login, call]) {
      assert.deepEqual([event?.userName, event?.errorMessage], ["alice", "locked for a test"]);
      assert.equal(event?.metadata?.["detail"], "lock 7f3a");
    }
    world.guards.refuse(() => false);
    assert.equal((await world.personOf(before)).name, "alice");
  });
});

/** Wants one word, and notes when it was used up. */
function wordStep(word: string, used: string[]): LoginStep {
  return {
    async check(_tx, { answer, userName }) {
      if (answer === null) return { demand: Buffer.from(`say ${word}`) };
      if (Buffer.from(answer).toString() !== word) throw new MezError("ACCESS_DENIED", `${userName} said another word`);
      return { passed: { [word]: true }, use: async () => void used.push(word) };
    },
  };
}

test("login steps say what they want after the right password, and are used up together", () =>
  inWorld(async (world) => {
    const used: string[] = [];
    world.steps.set("first", wordStep("swordfish", used)).set("second", wordStep("sesame", used));
    await world.addUser("alice", { mustChange: true });
    await refuses(world.attempt("alice", NEW), "INVALID_CREDENTIALS");
    const texts = async (answers: Readonly<Record<string, string>>): Promise<readonly string[]> => {
      const login = await world.attempt("alice", OLD, { answers });
      assert.ok("demands" in login && login.mustChangePassword);
      return login.demands.map(({ step, message }) => `${step}: ${Buffer.from(message).toString()}`);
    };
    assert.deepEqual(await texts({}), ["first: say swordfish", "second: say sesame"]);
    assert.deepEqual(await texts({ first: "swordfish" }), ["second: say sesame"]);
    assert.deepEqual(used, []);
    const opened = await world.attempt("alice", OLD, { newPassword: NEW, answers: { first: "swordfish", second: "sesame" } });
    assert.ok("token" in opened && !opened.mustChangePassword);
    assert.deepEqual(used, ["swordfish", "sesame"]);
    const { type, metadata } = world.opened.audits.at(-1)!;
    assert.deepEqual([type, metadata?.["swordfish"], metadata?.["sesame"]], ["user.login", true, true]);
  }));

test("a wrong answer to a login step opens nothing, changes no password and is audited", () =>
  inWorld(async (world) => {
    world.steps.set("first", wordStep("swordfish", []));
    await world.addUser("alice");
    await refuses(world.attempt("alice", OLD, { newPassword: NEW, answers: { first: "cod" } }), "ACCESS_DENIED");
    const { type, userName, errorMessage } = world.opened.audits.at(-1)!;
    assert.deepEqual([type, userName, errorMessage], ["user.login.failed", "alice", "alice said another word"]);
    world.steps.clear();
    await world.logIn("alice", OLD);
  }));

test("a login that needs a step whose plugin is off is refused, after the right password only", () =>
  inWorld(async (world) => {
    await world.addUser("alice");
    world.demandedSteps = ["first"];
    await refuses(world.attempt("alice", NEW), "INVALID_CREDENTIALS");
    assert.match(await refuses(world.attempt("alice"), "ACCESS_DENIED"), /its plugin "first" is off/);
    assert.equal(world.opened.audits.at(-1)?.type, "user.login.failed");
    world.steps.set("first", wordStep("swordfish", []));
    assert.ok("demands" in (await world.attempt("alice")));
  }));
