import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";
import { isMezError, MezError } from "../../core/errors/error.js";
import { definePlugin } from "../../core/plugin/contract.js";
import { CONNECTOR, type Connector, type OutsideIdentity, type PasswordCheck } from "../../core/ports/connector.js";
import { AuthenticationServiceService } from "../../proto/gen/mezite/authentication/v1/authentication.js";
import { UserServiceService } from "../../proto/gen/mezite/users/v1/users.js";
import { entryOf, manifestOf } from "../../test/fixtures/plugins.js";
import { startTestCluster, type TestCluster } from "../../test/kit/test-cluster.js";

/** A directory that knows whom the test says. */
class Directory implements Connector {
  readonly people = new Map<string, OutsideIdentity>();
  isAway = false;
  readonly asked: PasswordCheck[] = [];

  async checkPassword(check: PasswordCheck): Promise<OutsideIdentity> {
    this.asked.push(check);
    if (this.isAway) throw new Error("connect ECONNREFUSED 192.0.2.1:443");
    const found = this.people.get(check.userName);
    if (found === undefined || check.password !== "right") throw new MezError("INVALID_CREDENTIALS", "the directory says no");
    return found;
  }
}

const corp = new Directory();
const other = new Directory();
const plugin = entryOf(
  manifestOf("directories", {
    runsIn: ["auth"],
    implements: [
      { port: "connector", name: "corp" },
      { port: "connector", name: "other" },
    ],
  }),
  definePlugin({
    register(host) {
      host.implement(CONNECTOR, "corp", () => corp);
      host.implement(CONNECTOR, "other", () => other);
    },
  }),
);
const ROLES = [
  { connector: "corp", claim: "groups", value: "engineering", roles: ["access"] },
  { connector: "corp", claim: "groups", value: "audit", roles: ["auditor"] },
  { connector: "corp", claim: "groups", value: "ghosts", roles: ["no-such-role"] },
  { connector: "other", claim: "groups", value: "engineering", roles: ["access"] },
];

describe("a login through a connector", () => {
  let cluster: TestCluster;
  before(async () => {
    cluster = await startTestCluster({ plugins: [plugin], config: { authentication: { connector_roles: ROLES } } });
    await addLocal("carol", ["access"]);
    await addLocal("boss", ["admin"]);
  });
  after(() => cluster.stop());
  beforeEach(() => {
    cluster.clock.advance(3600); // failed attempts are forgotten
    for (const directory of [corp, other]) {
      directory.people.clear();
      directory.isAway = false;
      directory.asked.length = 0;
    }
    know(corp, "alice", ["engineering"]);
  });

  const know = (directory: Directory, userName: string, groups: readonly string[], typed = userName) =>
    void directory.people.set(typed, { userName, claims: { groups } });
  const logIn = (userName: string, password = "right", connector = "corp") =>
    cluster
      .rpc(AuthenticationServiceService)
      .authenticateLocal({ userName, password, connector, newPassword: "", ttlSeconds: 0, answers: [] });
  const rejects = (work: Promise<unknown>, code: Parameters<typeof isMezError>[1], message: RegExp) =>
    assert.rejects(work, (error) => isMezError(error, code as never) && message.test(error.message));
  const addLocal = (name: string, roles: string[]) =>
    cluster
      .rpc(UserServiceService)
      .createUser({ name, roles, internalTraits: {}, password: "correct horse battery", requireChange: false });
  const user = async (name: string) => {
    const { users } = await cluster.rpc(UserServiceService).listUsers({});
    return users.find((each) => each.name === name);
  };
  const last = () => cluster.audits.at(-1);

  test("opens a session for an account of its own, with the roles and traits of its claims", async () => {
    const { token } = await logIn("alice");
    assert.notEqual(token, "");
    assert.deepEqual((await user("alice"))?.roles, ["access"]);
    assert.deepEqual([last()?.type, last()?.metadata?.["method"]], ["user.login", "connector:corp"]);
    assert.ok(cluster.audits.some(({ type, metadata }) => type === "user.created" && metadata?.["connector"] === "corp"));
  });

  test("brings roles up to date each time", async () => {
    know(corp, "bob", ["engineering"]);
    await logIn("bob");
    know(corp, "bob", ["audit"]);
    await logIn("bob");
    assert.deepEqual((await user("bob"))?.roles, ["auditor"]);
  });

  test("takes the name that the provider says, whatever was typed", async () => {
    know(corp, "dora", ["engineering"], "Dora@CORP");
    await logIn("Dora@CORP");
    assert.deepEqual((await user("dora"))?.roles, ["access"]);
  });

  test("says the same of an unknown name and of a wrong password, and opens nothing", async () => {
    await rejects(logIn("alice", "wrong"), "INVALID_CREDENTIALS", /^invalid credentials$/);
    await rejects(logIn("nobody-there"), "INVALID_CREDENTIALS", /^invalid credentials$/);
    assert.deepEqual([last()?.type, last()?.metadata?.["method"]], ["user.login.failed", "connector:corp"]);
  });

  test("asks nobody about an empty password, which directories take for an anonymous login", async () => {
    await rejects(logIn("alice", ""), "INVALID_CREDENTIALS", /^invalid credentials$/);
    assert.deepEqual(corp.asked, []);
  });

  for (const [who, name] of [
    ["a local user", "carol"],
    ["an administrator", "boss"],
  ] as const) {
    test(`does not take over the account of ${who}`, async () => {
      know(corp, name, ["engineering", "audit"]);
      const before = await user(name);
      await rejects(logIn(name), "ACCESS_DENIED", /is an account of somebody else here/);
      assert.deepEqual(await user(name), before);
      assert.equal(last()?.type, "user.login.failed");
    });
  }

  test("does not take over the account of another connector", async () => {
    await logIn("alice");
    know(other, "alice", ["engineering"]);
    await rejects(logIn("alice", "right", "other"), "ACCESS_DENIED", /is an account of somebody else here/);
  });

  test("refuses somebody to whom nothing gives a role, and roles that do not exist", async () => {
    know(corp, "erin", ["sales"]);
    await rejects(logIn("erin"), "ACCESS_DENIED", /gives you a role here/);
    know(corp, "erin", ["ghosts"]);
    await rejects(logIn("erin"), "ROLE_NOT_FOUND", /no-such-role/);
    assert.equal(await user("erin"), undefined);
  });

  for (const [what, answer] of [
    ["a name that no account can have", { userName: "../root", claims: { groups: ["engineering"] } }],
    ["claims that are no lists", { userName: "alice", claims: { groups: "engineering" } }],
    ["a claim with control characters", { userName: "alice", claims: { groups: ["engineering", "a\nb"] } }],
    ["nothing", {}],
  ] as const) {
    test(`believes no connector that says ${what}`, async () => {
      corp.people.set("alice", answer as never);
      await rejects(logIn("alice"), "ACCESS_DENIED", /cannot be used here/);
    });
  }

  test("says that the connector cannot ask, and not why", async () => {
    corp.isAway = true;
    await rejects(logIn("alice"), "UNAVAILABLE", /^connector corp cannot check passwords now; try again later$/);
  });

  test("leaves no way in with a password here", async () => {
    await logIn("alice");
    const reset = cluster
      .rpc(UserServiceService)
      .resetPassword({ name: "alice", password: "correct horse battery", requireChange: false });
    await rejects(reset, "CONFLICT", /signs in through connector corp/);
    await rejects(logIn("alice", "right", ""), "INVALID_CREDENTIALS", /^invalid credentials$/);
  });

  test("is refused for a connector that is not there", () =>
    rejects(logIn("alice", "right", "nope"), "INVALID_ARGUMENT", /no connector "nope"/));
});
