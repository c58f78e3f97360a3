import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { connect } from "node:net";
import { after, before, describe, test } from "node:test";
import { NODES } from "../../plugins/nodes/api.js";
import { ROLES_COLLECTION, USERS_COLLECTION } from "../../plugins/roles/api.js";
import { ProxyTestBed, role, until } from "../fixtures/proxy-bed.js";

const ID = {
  dev: "11111111-1111-4111-8111-111111111111",
  prod: "22222222-2222-4222-8222-222222222222",
  off: "33333333-3333-4333-8333-333333333333",
};

describe("a proxy between OpenSSH's client and nodes", () => {
  let bed: ProxyTestBed;
  let key: string;

  before(async () => {
    bed = await ProxyTestBed.open();
    key = bed.key("alice");
    await bed.node("web-01", ID.dev);
    await bed.node("web-02", ID.prod, { env: "prod" });
    bed.enrol("web-03", ID.off);
  });

  after(() => bed.close());

  for (const host of ["web-01", "web-01.test", ID.dev]) {
    test(`leads to a node by "${host}"`, async () => {
      const result = await bed.run(key, [host, "echo hello; echo problem >&2; exit 7"]);
      assert.deepEqual({ ...result, stdout: result.stdout.toString() }, { code: 7, stdout: "hello\n", stderr: "problem\n" });
      await until(() => bed.liveSessions.all().length === 0 && bed.leases === 0);
    });
  }

  for (const [situation, args, said, detail] of [
    [
      "a node that no role of the person reaches",
      ["web-02", "true"],
      'there is no node "web-02" that alice may reach',
      /dev|role/,
    ],
    ["a node that does not exist", ["web-99", "true"], 'there is no node "web-99" that alice may reach', /no such node/],
    [
      "a port that is not SSH",
      ["-p", "8080", "web-01", "true"],
      "the proxy leads to SSH on port 22 only; for port 8080 forward through the node",
      null,
    ],
  ] as const) {
    test(`refuses ${situation} in one line and tells the audit log`, async () => {
      bed.denials.length = 0;
      const { code, stderr } = await bed.run(key, args);
      assert.equal(code, 255);
      assert.ok(stderr.includes(`administratively prohibited: ${said}`), stderr);
      assert.equal(bed.denials.length, 1);
      const { type, userName, userRoles, success, metadata } = bed.denials[0] ?? {};
      assert.deepEqual(
        { type, userName, userRoles, success },
        { type: "access.denied", userName: "alice", userRoles: ["dev"], success: false },
      );
      if (detail !== null) assert.match(String(metadata?.detail), detail);
    });
  }

  test("sends away who asks on and on for what is refused", async () => {
    bed.denials.length = 0;
    const connection = await bed.connect();
    const asked = Array.from({ length: 80 }, (_, index) => connection.forwardOut(`web-9${index}`, 22));
    assert.ok((await Promise.allSettled(asked)).every(({ status }) => status === "rejected"));
    await connection.closed;
    assert.equal(bed.denials.length, 50);
  });

  test("says that a node is offline, and that is no denial", async () => {
    bed.denials.length = 0;
    const { code, stderr } = await bed.run(key, ["web-03", "true"]);
    assert.equal(code, 255);
    assert.ok(stderr.includes('node "web-03" is offline'), stderr);
    assert.deepEqual(bed.denials, []);
  });

  test("answers a request for a shell or a command with one line", async () => {
    for (const args of [
      ["-T", "proxy"],
      ["proxy", "uptime"],
      ["-tt", "proxy"],
    ]) {
      const { code, stderr, stdout } = await bed.run(key, args);
      assert.equal(code, 1);
      assert.equal(stdout.length, 0);
      assert.match(stderr, /^this is the mezite proxy; ssh to a node through it: ssh -J alice@127\.0\.0\.1:\d+ login@node\r?\n/);
    }
  });

  for (const [situation, overrides, said, user] of [
    [
      "an expired certificate",
      { validAfter: new Date(1e12), validBefore: new Date(1.1e12) },
      "the certificate has expired; log in again",
      "alice",
    ],
    [
      "a certificate of somebody who is no user",
      { keyId: "mallory" },
      "mallory is not a user of this cluster any more",
      "mallory",
    ],
    [
      "a certificate of a former user of that name",
      { keyId: "carol", extensions: { "roles@mezite": '["dev"]', "since@mezite": "2025-01-01T00:00:00.000Z" } },
      "the certificate is of a former user carol; log in again",
      "carol",
    ],
    ["a certificate without roles", { extensions: {} }, "the certificate names no roles; log in again", "alice"],
  ] as const) {
    test(`refuses ${situation} and tells the audit log`, async () => {
      bed.denials.length = 0;
      const { code, stderr } = await bed.run(bed.key(`refused-${said.length}`, overrides), ["proxy"]);
      assert.equal(code, 255);
      assert.ok(stderr.includes(said), stderr);
      assert.deepEqual(
        bed.denials.map(({ userName, errorMessage }) => ({ userName, errorMessage })),
        [{ userName: user, errorMessage: said }],
      );
    });
  }

  test("refuses a certificate of another authority, whose words are only a claim", async () => {
    const other = await ProxyTestBed.open();
    bed.denials.length = 0;
    const { code, stderr } = await bed.run(other.key("foreign"), ["proxy"]);
    await other.close();
    assert.equal(code, 255);
    assert.ok(stderr.includes("the certificate was not issued by this cluster"), stderr);
    assert.equal(bed.denials.length, 1);
    assert.equal(bed.denials[0]?.userName, undefined);
    assert.equal(bed.denials[0]?.metadata?.claimedUser, "alice");
  });

  test("accepts a principal as login name and tells others which to use", async () => {
    assert.equal((await bed.run(key, ["web-01", "true"], undefined, "root")).code, 0);
    const { code, stderr } = await bed.run(key, ["web-01", "true"], undefined, "bob");
    assert.equal(code, 255);
    assert.ok(stderr.includes("log in to the proxy as alice: ssh -J alice@"), stderr);
  });

  test("moves 100 MiB both ways unharmed", async () => {
    const input = randomBytes(100 * 2 ** 20);
    const { code, stdout, stderr } = await bed.run(key, ["web-01", "cat"], input);
    assert.deepEqual({ code, stderr, length: stdout.length }, { code: 0, stderr: "", length: input.length });
    assert.equal(createHash("sha256").update(stdout).digest("hex"), createHash("sha256").update(input).digest("hex"));
  });

  test("registers each session, and ends one at once with the administrator's words", async () => {
    const client = bed.client(key, ["web-01", "echo begun; exec sleep 60"], "pipe");
    await until(() => client.output.stdout.length > 0);
    const [session] = bed.liveSessions.all();
    assert.deepEqual(
      {
        user: session?.user,
        roles: session?.roles,
        login: session?.login,
        node: session?.node,
        clientAddress: session?.clientAddress,
      },
      { user: "alice", roles: ["dev"], login: "", node: "web-01", clientAddress: "127.0.0.1" },
    );
    assert.equal(bed.leases, 1);
    session?.end("ended by an administrator");
    session?.end("said twice");
    const { code, stderr } = await client.done;
    assert.equal(code, 255);
    assert.match(stderr, /Received disconnect from 127\.0\.0\.1 .*: ended by an administrator/);
    await until(() => bed.leases === 0);
    assert.deepEqual(bed.liveSessions.all(), []);
  });

  test("ends one of several sessions on a connection, and the others go on", async () => {
    const socket = bed.ssh.path("master");
    const shared = ["-o", "ControlPersist=no", "-o", `ControlPath=${socket}`];
    const master = bed.client(
      key,
      [...shared, "-M", "-N", "-L", `${socket}1:web-01:22`, "-L", `${socket}2:web-01:22`, "proxy"],
      "pipe",
    );
    const through = (number: number) =>
      bed.client(key, ["-o", `ProxyCommand=nc -U ${socket}${number}`, "web-01", "echo begun; cat"], "pipe");
    await until(() => master.child.exitCode !== null || existsSync(`${socket}2`));
    const [first, second] = [through(1), through(2)];
    await until(() => first.output.stdout.length > 0 && second.output.stdout.length > 0);
    const [one] = bed.liveSessions.all();
    one?.end("ended by an administrator");
    const ended = await Promise.race([first.done.then(() => first), second.done.then(() => second)]);
    const other = ended === first ? second : first;
    other.child.stdin?.end("still here");
    const { code, stdout } = await other.done;
    assert.deepEqual({ code, text: stdout.toString() }, { code: 0, text: "begun\nstill here" });
    master.child.kill();
    await master.done;
  });

  test("ends sessions that the policy no longer allows, and only those", async () => {
    await bed.node("web-04", "44444444-4444-4444-8444-444444444444", { env: "test" });
    bed.put(ROLES_COLLECTION, "test", role("test", { env: ["test"] }));
    bed.put(USERS_COLLECTION, "alice", { roles: ["dev", "test"], traits: { internal: {}, external: {} } });
    const both = bed.key("both", { extensions: { "roles@mezite": '["dev","test"]' } });
    const [stays, goes] = ["web-01", "web-04"].map((host) => bed.client(both, [host, "echo begun; cat"], "pipe"));
    assert.ok(stays && goes);
    await until(() => stays.output.stdout.length > 0 && goes.output.stdout.length > 0);
    bed.put(USERS_COLLECTION, "alice", { roles: ["dev"], traits: { internal: {}, external: {} } });
    const { stderr } = await goes.done;
    assert.ok(stderr.includes("alice may no longer reach node web-04"), stderr);
    stays.child.stdin?.end();
    assert.equal((await stays.done).code, 0);
    bed.put(NODES, "web-04", undefined);
  });

  test("ends the sessions and the tunnel of a node that is removed, and lets its next holder in", async () => {
    const [old, next] = ["55555555-5555-4555-8555-555555555555", "66666666-6666-4666-8666-666666666666"];
    const agent = await bed.node("web-05", old);
    const client = bed.client(key, ["web-05", "echo begun; cat"], "pipe");
    await until(() => client.output.stdout.length > 0);
    bed.enrol("web-05", next);
    assert.equal((await client.done).code, 255);
    await until(() => !bed.directory.isOnline("web-05"));
    await bed.dial("web-05", next);
    await until(() => bed.directory.isOnline("web-05"));
    assert.notEqual(agent.state, "connected");
    assert.equal((await bed.run(key, ["web-05", "true"])).code, 0);
  });

  test("lets in no agent that is not a node of the inventory", async () => {
    const agents = [
      await bed.dial("web-06", ID.dev),
      await bed.dial("web-01", ID.prod),
      await bed.dial("web-01", ID.dev, "mezite:role:proxy"),
    ];
    await until(() => agents.every(({ state }) => state === "waiting"));
    assert.equal(bed.directory.of("web-01").length, 1);
    assert.equal(bed.directory.isOnline("web-06"), false);
    await Promise.all(agents.map((agent) => agent.dispose()));
  });

  test("refuses new sessions while the auth service is silent for too long, and keeps those under way", async () => {
    const client = bed.client(key, ["web-01", "echo begun; cat"], "pipe");
    await until(() => client.output.stdout.length > 0);
    bed.silentSeconds = 5400;
    const { code, stderr } = await bed.run(key, ["web-01", "true"]);
    bed.silentSeconds = 0;
    assert.equal(code, 255);
    assert.ok(stderr.includes("the proxy has not heard from the auth service for 1h30m and lets no new session in"), stderr);
    const { userName, errorMessage } = bed.denials.at(-1) ?? {};
    assert.deepEqual([userName, /has not heard/.test(errorMessage ?? "")], ["alice", true], "it is in the audit log");
    client.child.stdin?.end();
    assert.equal((await client.done).code, 0);
  });

  test("shows renewed credentials to those who come after", async () => {
    await bed.renew();
    await bed.node("web-07", "77777777-7777-4777-8777-777777777777");
    assert.equal((await bed.run(key, ["web-07", "true"])).code, 0);
  });

  test("survives garbage on both ports", async () => {
    for (const port of [bed.sshPort(), bed.tunnelPort()]) {
      for (const garbage of [
        randomBytes(65_536),
        Buffer.from("GET / HTTP/1.1\r\n\r\n"),
        Buffer.from("SSH-2.0-x\r\n\xff\xff\xff\xff"),
      ]) {
        const socket = connect(port, "127.0.0.1", () => socket.end(garbage));
        socket.resume().on("error", () => undefined);
        await new Promise<void>((resolve) => socket.once("close", () => resolve()));
      }
    }
    assert.equal((await bed.run(key, ["web-01", "true"])).code, 0);
  });

  test("takes no new clients once it drains, and lets sessions go on until it is disposed of", async () => {
    const client = bed.client(key, ["web-01", "echo begun; cat"], "pipe");
    await until(() => client.output.stdout.length > 0);
    const port = bed.sshPort();
    await bed.proxy.drain();
    const refused = connect(port, "127.0.0.1");
    const error = await new Promise<NodeJS.ErrnoException>((resolve) => refused.once("error", resolve));
    assert.equal(error.code, "ECONNREFUSED");
    client.child.stdin?.write("still here");
    await until(() => Buffer.concat(client.output.stdout).includes("still here"));
    await bed.proxy.dispose();
    const { code, stderr } = await client.done;
    assert.equal(code, 255);
    assert.ok(stderr.includes("the proxy is shutting down"), stderr);
    assert.equal(bed.leases, 0);
  });
});
