import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import { lendingSocket } from "../../core/flow/lending-socket.js";
import { formatCertificate } from "../../core/ssh/certificate.js";
import { generateSshKeyPair } from "../../core/ssh/private-key.js";
import { DIRECT_ALPN } from "../../core/tunnel/direct-route.js";
import { TlsPrelude } from "../../core/tunnel/tls-prelude.js";
import { tunnelSecureContext } from "../../core/tunnel/tunnel-protocol.js";
import { ROLES_COLLECTION, USERS_COLLECTION } from "../../plugins/roles/api.js";
import { askDirect, type DirectAsking, dialDirect, directBridge, signedRequest } from "../fixtures/direct-client.js";
import { ProxyTestBed, type RunningClient, role, until } from "../fixtures/proxy-bed.js";

const ID = { dev: "11111111-1111-4111-8111-111111111111", prod: "22222222-2222-4222-8222-222222222222" };

describe("the direct route through a proxy", () => {
  let bed: ProxyTestBed;
  let key: string;
  const bridges: { close(): void }[] = [];

  before(async () => {
    bed = await ProxyTestBed.open();
    key = bed.key("alice");
    await bed.node("web-01", ID.dev);
    await bed.node("web-02", ID.prod, { env: "prod" });
    bed.enrol("web-03", "33333333-3333-4333-8333-333333333333");
  });
  after(() => bed.close());
  beforeEach(() => {
    bed.denials.length = 0;
  });
  afterEach(async () => {
    for (const bridge of bridges.splice(0)) bridge.close();
    await until(() => bed.leases === 0 && bed.liveSessions.all().length === 0);
  });

  const asking = (more: Partial<DirectAsking> = {}): DirectAsking => ({
    port: bed.sshPort(),
    tls: { ca: bed.tls.certificatePem, servername: "proxy.test" },
    keyFile: key,
    user: "alice",
    host: "web-01",
    ...more,
  });
  /** OpenSSH's client, which knows nothing of the proxy. */
  const ssh = async (command: string, input: Buffer | "pipe" = Buffer.alloc(0)): Promise<RunningClient> => {
    const bridge = await directBridge(asking());
    bridges.push(bridge);
    return bed.client(key, [...bridge.flags, "web-01", command], input);
  };

  test("leads OpenSSH's client to a node", async () => {
    const { done } = await ssh("echo hello; echo problem >&2; exit 7");
    const result = await done;
    assert.deepEqual({ ...result, stdout: result.stdout.toString() }, { code: 7, stdout: "hello\n", stderr: "problem\n" });
    assert.deepEqual(bed.denials, []);
  });

  test("moves 20 MiB both ways unharmed", async () => {
    const input = randomBytes(20 * 2 ** 20);
    const { code, stdout, stderr } = await (await ssh("cat", input)).done;
    assert.deepEqual({ code, stderr, length: stdout.length }, { code: 0, stderr: "", length: input.length });
    assert.equal(createHash("sha256").update(stdout).digest("hex"), createHash("sha256").update(input).digest("hex"));
  });

  test("says nothing before the client has", async () => {
    const { verdict, socket } = await askDirect(asking());
    assert.equal(verdict, "go");
    let heard = "";
    socket.on("data", (bytes: Buffer) => {
      heard += String(bytes);
    });
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.equal(heard, "");
    socket.write("SSH-2.0-patient\r\n");
    await until(() => heard !== "");
    assert.match(heard, /^SSH-2\.0-/);
    socket.destroy();
  });

  test("registers each session and ends it with its client", async () => {
    const client = await ssh("echo begun; cat", "pipe");
    await until(() => client.output.stdout.length > 0);
    const [session] = bed.liveSessions.all();
    const { user, roles, node, clientAddress } = session ?? {};
    assert.deepEqual(
      { user, roles, node, clientAddress },
      { user: "alice", roles: ["dev"], node: "web-01", clientAddress: "127.0.0.1" },
    );
    assert.equal(bed.leases, 1);
    client.child.kill("SIGKILL");
    await until(() => bed.leases === 0);
  });

  for (const [situation, more, said, detail] of [
    [
      "a node that no role of the person reaches",
      { host: "web-02" },
      'there is no node "web-02" that alice may reach',
      /dev|role/,
    ],
    ["a node that does not exist", { host: "web-99" }, 'there is no node "web-99" that alice may reach', /no such node/],
    ["a name that is none", { host: "web 01\u001b[2J" }, '"web 01?[2J" is not a node name', null],
    [
      "a port that is not SSH",
      { nodePort: 8080 },
      "the proxy leads to SSH on port 22 only; for port 8080 forward through the node: ssh -L … web-01",
      null,
    ],
    ["another login name", { user: "bob" }, 'log in to the proxy as alice: ssh -J alice@…, or "User alice" in ssh_config', null],
  ] as const)
    test(`refuses ${situation} with the words that SSH has for it, and tells the audit log`, async () => {
      const { verdict, message } = await askDirect(asking(more));
      assert.deepEqual({ verdict, message }, { verdict: "refused", message: said });
      assert.equal(bed.denials.length, 1);
      const { type, userName, success, clientIp, metadata } = bed.denials[0] ?? {};
      const expected = { type: "access.denied", userName: "alice", success: false, clientIp: "127.0.0.1" };
      assert.deepEqual({ type, userName, success, clientIp }, expected);
      if (detail !== null) assert.match(String(metadata?.detail), detail);
    });

  for (const [situation, overrides, said] of [
    [
      "an expired certificate",
      { validAfter: new Date(1e12), validBefore: new Date(1.1e12) },
      "the certificate has expired; log in again",
    ],
    ["a certificate without roles", { extensions: {} }, "the certificate names no roles; log in again"],
    [
      "a certificate for another address",
      { criticalOptions: { "source-address": "192.0.2.0/24" } },
      "the certificate may not be used from 127.0.0.1",
    ],
    ["a host certificate", { role: "host", extensions: {} }, "the certificate names no roles; log in again"],
  ] as const)
    test(`refuses ${situation}`, async () => {
      const { verdict, message } = await askDirect(
        asking({ keyFile: bed.key(`refused-${situation.replaceAll(" ", "-")}`, overrides) }),
      );
      assert.deepEqual({ verdict, message }, { verdict: "refused", message: said });
      assert.equal(bed.denials.length, 1);
    });

  test("refuses a certificate of another authority, whose words are only a claim", async () => {
    const stranger = bed.key("stranger");
    const other = generateSshKeyPair();
    writeFileSync(`${stranger}-cert.pub`, formatCertificate(bed.ssh.issue("user", other.publicKeyBlob)));
    assert.match((await askDirect(asking({ keyFile: stranger }))).message, /signature does not match/);
    assert.equal(bed.denials.length, 0, "nobody has proven to be somebody");
    const foreign = await ProxyTestBed.open();
    const { message } = await askDirect(asking({ keyFile: foreign.key("foreign") }));
    await foreign.close();
    assert.equal(message, "the certificate was not issued by this cluster");
    assert.deepEqual(
      bed.denials.map(({ userName, metadata }) => [userName, metadata?.claimedUser]),
      [[undefined, "alice"]],
    );
  });

  for (const [what, forge] of [
    ["of nothing", () => Buffer.alloc(0)],
    ["of other bytes", (bytes: Buffer) => Buffer.concat([bytes, Buffer.of(0)])],
  ] as const)
    test(`refuses a signature ${what}`, async () => {
      const { verdict, message } = await askDirect(asking({ forge }));
      assert.deepEqual({ verdict, message }, { verdict: "refused", message: "the signature does not match" });
      assert.deepEqual(bed.denials, []);
    });

  test("refuses a request that somebody in between passes on from a connection of their own", async () => {
    const theirs = await bed.tls.issue("proxy.test", { organization: "mezite:role:node" });
    const listener = createServer().listen(0, "127.0.0.1");
    await once(listener, "listening");
    const arrival = once(listener, "connection") as Promise<[Socket]>;
    const address = listener.address();
    const victim = dialDirect({ ...asking(), port: typeof address === "object" ? (address?.port ?? 0) : 0 });
    const [caught] = await arrival;
    const [near, inBetween] = await Promise.all([
      victim,
      TlsPrelude.accept(lendingSocket(caught), tunnelSecureContext(theirs), DIRECT_ALPN, 20_000),
    ]);
    await near.say(signedRequest(asking(), near));
    const onwards = await dialDirect(asking());
    await onwards.say(await inBetween.hear());
    const answer = await onwards.hear();
    assert.match(String(answer), /the signature does not match/);
    for (const { tcp } of [near, inBetween, onwards]) tcp.destroy();
    listener.close();
  });

  test("refuses a request that is malformed, too long, or of another version", async () => {
    for (const [content, said] of [
      [Buffer.of(1, 0, 0), /cut short/],
      [Buffer.of(9), /version 9 of the direct route is not known here/],
      [randomBytes(300).fill(1, 0, 1), /cut short|not UTF-8/],
    ] as const) {
      const prelude = await dialDirect(asking());
      await prelude.say(content);
      assert.match(String(await prelude.hear()), said);
      prelude.tcp.destroy();
    }
    const long = await dialDirect(asking());
    await assert.rejects(async () => {
      await long.say(Buffer.alloc(17_000));
      await long.hear();
    }, /closed/);
  });

  test("says that a node is offline, and that is no denial", async () => {
    const { verdict, message } = await askDirect(asking({ host: "web-03" }));
    assert.deepEqual({ verdict, message }, { verdict: "refused", message: 'node "web-03" is offline' });
    assert.deepEqual(bed.denials, []);
  });

  test("refuses new sessions while the auth service is silent for too long, and keeps those under way", async () => {
    const client = await ssh("echo begun; cat", "pipe");
    await until(() => client.output.stdout.length > 0);
    bed.silentSeconds = 5400;
    const { message } = await askDirect(asking());
    bed.silentSeconds = 0;
    assert.equal(message, "the proxy has not heard from the auth service for 1h30m and lets no new session in");
    assert.equal(bed.denials.length, 1);
    client.child.stdin?.end();
    assert.equal((await client.done).code, 0);
  });

  test("tells people whom a node asks for a second factor to come through SSH", async () => {
    const strict = role("dev", { env: ["dev"] });
    bed.put(ROLES_COLLECTION, "dev", { ...strict, options: { ...strict.options, requireSessionMfa: "totp" } });
    const { verdict } = await askDirect(asking());
    const elsewhere = await askDirect(asking({ host: "web-02" }));
    bed.put(ROLES_COLLECTION, "dev", strict);
    assert.equal(verdict, "jump");
    assert.equal(elsewhere.message, 'there is no node "web-02" that alice may reach');
    assert.deepEqual(
      bed.denials.map(({ resourceName }) => resourceName),
      ["web-02"],
    );
  });

  test("ends a session whose node says nothing of it", async () => {
    const client = await ssh("echo begun; cat", "pipe");
    await until(() => client.output.stdout.length > 0);
    bed.liveSessions.all()[0]?.end("ended by an administrator");
    assert.equal((await client.done).code, 255);
  });

  test("ends sessions that the policy no longer allows", async () => {
    const client = await ssh("echo begun; cat", "pipe");
    await until(() => client.output.stdout.length > 0);
    bed.guards.refuse(({ user }) => user === "alice");
    const { message } = await askDirect(asking());
    assert.equal((await client.done).code, 255);
    bed.guards.refuse(() => false);
    assert.equal(message, "locked for a test");
    bed.put(USERS_COLLECTION, "alice", { roles: [], traits: { internal: {}, external: {} } });
    assert.match((await askDirect(asking())).message, /there is no node "web-01" that alice may reach/);
    bed.put(USERS_COLLECTION, "alice", { roles: ["dev"], traits: { internal: {}, external: {} } });
  });

  test("refuses who is locked between the answer and the first byte", async () => {
    const { socket } = await askDirect(asking());
    bed.guards.refuse(({ user }) => user === "alice");
    await once(
      socket.resume().on("error", () => undefined),
      "end",
    );
    bed.guards.refuse(() => false);
    socket.destroy();
  });

  test("lets a client go whose node left before its first byte", async () => {
    const agent = await bed.node("web-04", "44444444-4444-4444-8444-444444444444");
    const { verdict, socket } = await askDirect(asking({ host: "web-04" }));
    assert.equal(verdict, "go");
    await agent.dispose();
    await until(() => !bed.directory.isOnline("web-04"));
    const closed = once(
      socket.resume().on("error", () => undefined),
      "close",
    );
    socket.end("SSH-2.0-late\r\n");
    await closed;
    await until(() => bed.leases === 0);
  });

  test("forgets a client that leaves before its first byte", async () => {
    const { socket } = await askDirect(asking());
    assert.equal(bed.leases, 1);
    socket.end();
    await until(() => bed.leases === 0);
  });

  test("survives garbage, half handshakes and clients that leave", async () => {
    for (const bytes of [
      Buffer.of(22),
      Buffer.of(22, 3, 1, 0, 5, 1),
      randomBytes(65_536).fill(22, 0, 1),
      Buffer.of(22, 3, 1, 0xff, 0xff),
    ]) {
      const socket = connect(bed.sshPort(), "127.0.0.1", () => socket.end(bytes));
      await once(
        socket.resume().on("error", () => undefined),
        "close",
      );
    }
    const leaving = await dialDirect(asking());
    leaving.tcp.resetAndDestroy();
    assert.equal((await (await ssh("true")).done).code, 0);
  });

  test("serves SSH to clients that wait for the server's version line", async () => {
    const socket = connect(bed.sshPort(), "127.0.0.1");
    const [line] = (await once(socket, "data")) as [Buffer];
    assert.match(String(line), /^SSH-2\.0-Mezite\r\n/);
    socket.destroy();
  });

  test("shows renewed credentials to those who come after", async () => {
    await bed.renew();
    const { verdict, socket } = await askDirect(asking());
    assert.equal(verdict, "go");
    socket.destroy();
  });

  test("lets sessions go on while the proxy drains, until it is disposed of", async () => {
    const client = await ssh("echo begun; cat", "pipe");
    await until(() => client.output.stdout.length > 0);
    await bed.proxy.drain();
    client.child.stdin?.write("still here");
    await until(() => Buffer.concat(client.output.stdout).includes("still here"));
    await bed.proxy.dispose();
    assert.equal((await client.done).code, 255);
  });
});
