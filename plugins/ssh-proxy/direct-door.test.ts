import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { PassThrough } from "node:stream";
import { after, before, type TestContext, test } from "node:test";
import { MezError } from "../../core/errors/error.js";
import { lendingSocket } from "../../core/flow/lending-socket.js";
import type { SshCertificate } from "../../core/ssh/certificate.js";
import { systemClock } from "../../core/time/clock.js";
import { digestTrust } from "../../core/tunnel/host-trust.js";
import type { TunnelCredentials } from "../../core/tunnel/tunnel-protocol.js";
import { closed } from "../../test/fixtures/closed.js";
import { askDirect, type DirectAsking, dialDirect, signedRequest } from "../../test/fixtures/direct-client.js";
import { eventually } from "../../test/fixtures/eventually.js";
import { silentLogger } from "../../test/fixtures/silent-logger.js";
import { TestAuthority } from "../../test/fixtures/ssh/test-server.js";
import { type TestAuthority as TlsAuthority, testAuthority } from "../../test/fixtures/tls.js";
import { ConnectionFactor } from "./client-login.js";
import { DirectDoor, type DirectDoorParts } from "./direct-door.js";
import type { ProxySession } from "./proxy-session.js";
import type { SessionRequest, Visitor } from "./session-admission.js";

const NAME = "proxy.test";

let tls: TlsAuthority;
let credentials: TunnelCredentials;
let keyFile: string;
const ssh = new TestAuthority();
before(async () => {
  tls = await testAuthority();
  credentials = await tls.issue(NAME);
  keyFile = ssh.clientKey("ada", "ed25519", { keyId: "ada" });
});
after(() => ssh.remove());

for (const type of ["ecdsa", "rsa"] as const)
  test(`takes signatures of ${type} keys`, async (t) => {
    const { asking } = await open(t);
    const { verdict } = await askDirect({ ...asking, keyFile: ssh.clientKey(`key-${type}`, type) });
    assert.equal(verdict, "go");
  });

for (const [why, parts] of [
  ["a second factor is to be asked for", { admission: { open: async (_visitor, request) => request.askElsewhere?.() } }],
  ["everything goes inside of TLS", { sessionEncryption: "tls" }],
] as const satisfies readonly (readonly [string, Partial<DirectDoorParts>])[])
  test(`sends clients to SSH when ${why}, once they have proven who they are`, async (t) => {
    const { asking } = await open(t, parts);
    assert.equal((await askDirect(asking)).verdict, "jump");
    assert.equal((await askDirect({ ...asking, forge: () => Buffer.alloc(1) })).verdict, "refused");
  });

test("tells those who are known, and nobody else, that what they trust is not what counts", async (t) => {
  const key = (text: string): string => Buffer.from(text).toString("base64");
  const counts = { sshPublicKeys: [key("new"), key("old")], certificatesPem: [] };
  const { asking } = await open(t, { hostAuthorities: () => counts });
  const { asking: away } = await open(t, { hostAuthorities: () => counts, sessionEncryption: "tls" });
  for (const [held, expected] of [
    [["old", "new"], "current"],
    [["new"], "outdated"],
    [["old"], "unusable"],
    [[], "unusable"],
  ] as const) {
    const trust = digestTrust({ sshPublicKeys: held.map(key), certificatesPem: [] });
    assert.equal((await askDirect({ ...asking, trust })).trust, expected);
    assert.equal((await askDirect({ ...away, trust })).trust, expected);
    assert.equal((await askDirect({ ...asking, trust, forge: () => Buffer.alloc(1) })).trust, "current");
  }
  const { asking: unknown } = await open(t);
  assert.equal((await askDirect(unknown)).trust, "current");
});

test("asks who it is before anything else is looked at", async (t) => {
  const login = {
    identify: () => {
      throw new MezError("ACCESS_DENIED", "ada is locked");
    },
    noFactor,
  };
  const { asking, door } = await open(t, { login, sessionEncryption: "tls" });
  const { verdict, message } = await askDirect(asking);
  assert.deepEqual({ verdict, message }, { verdict: "refused", message: "ada is locked" });
  while (door.pendingCount > 0) await new Promise(setImmediate);
});

test("says nothing of errors of its own", async (t) => {
  const login = {
    identify: () => {
      throw new Error("secret path");
    },
    noFactor,
  };
  const { asking } = await open(t, { login });
  assert.equal((await askDirect(asking)).message, "the proxy failed; its log says why");
});

for (const [what, begin] of [
  ["nothing", () => undefined],
  ["half a hello", (socket: Socket) => socket.write(Buffer.of(22, 3, 1, 2, 0, 1))],
] as const)
  test(`closes a client that says ${what} for too long`, async (t) => {
    const { asking, door } = await open(t, { graceMs: 30 });
    const socket = connect(asking.port, "127.0.0.1").on("error", () => undefined);
    begin(socket);
    await closed(socket);
    while (door.pendingCount > 0) await new Promise(setImmediate);
  });

test("closes a client that does not ask, does not begin, or does not read its refusal", async (t) => {
  const { asking } = await open(t, { graceMs: 500 });
  for (const begin of [async () => (await dialDirect(asking)).tcp, async () => (await askDirect(asking)).socket]) {
    // It begins within its time, on a machine with much to do not at once.
    const left = await eventually(begin);
    await once(left.resume(), "end");
    left.destroy();
  }
});

test("holds no more clients that are not known than it may", async (t) => {
  const { asking, door } = await open(t, { maxPending: 2 });
  const silent = [connect(asking.port, "127.0.0.1"), connect(asking.port, "127.0.0.1")].map((socket) =>
    socket.on("error", () => undefined).resume(),
  );
  while (door.pendingCount < 2) await new Promise(setImmediate);
  const refused = connect(asking.port, "127.0.0.1").on("error", () => undefined);
  await closed(refused);
  assert.equal(door.pendingCount, 2);
  door.close();
  await Promise.all(silent.map((socket) => once(socket, "close")));
});

test("a client that leaves while the node is asked ends its session", async (t) => {
  const cut = Promise.withResolvers<string>();
  const asked = Promise.withResolvers<void>();
  const { asking } = await open(t, {
    admission: {
      open: async ({ sessions }) => {
        sessions.add({ cut: cut.resolve } as unknown as ProxySession);
        asked.resolve();
        await cut.promise;
      },
    },
  });
  const prelude = await dialDirect(asking);
  await prelude.say(signedRequest(asking, prelude));
  await asked.promise;
  prelude.tcp.end();
  assert.equal(await cut.promise, "the client went away");
  prelude.tcp.destroy();
});

test("a client that leaves while it is let in is noticed at once", async (t) => {
  const leave = new Map<string, () => void>();
  const left: Promise<unknown>[] = [];
  const { asking } = await open(t, {
    admission: {
      open: async (_visitor, request) => {
        const accepted = request.accept();
        left.push(Promise.resolve(accepted));
        leave.get(request.host)?.();
        await accepted;
      },
    },
  });
  for (let count = 0; count < 20; count += 1) {
    const host = `node-${count}`;
    const prelude = await dialDirect(asking);
    leave.set(host, () => void prelude.tcp.end());
    await prelude.say(signedRequest({ ...asking, host }, prelude));
    while (left.length <= count) await new Promise(setImmediate);
    assert.equal(await left[count], null);
    prelude.tcp.destroy();
  }
});

// --- internal ---

function noFactor(): ConnectionFactor {
  return new ConnectionFactor({ kind: null, missingBecause: "" }, systemClock);
}

/** Lets everybody in whose key is proven, to a node that sends back what it gets. */
async function admit(_visitor: Visitor, request: SessionRequest): Promise<void> {
  const client = await request.accept();
  client?.stream.pipe(new PassThrough()).pipe(client.stream);
}

async function open(
  t: TestContext,
  parts: Partial<DirectDoorParts> = {},
): Promise<{ readonly door: DirectDoor; readonly asking: DirectAsking }> {
  const person = (certificate: SshCertificate) => ({ user: certificate.keyId, since: undefined, roles: [], certificate });
  const door = new DirectDoor({
    credentials,
    login: { identify: person, noFactor },
    admission: { open: admit },
    sessionEncryption: "ssh",
    hostAuthorities: () => undefined,
    logger: silentLogger,
    ...parts,
  });
  const sockets: Socket[] = [];
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (accepted) => {
    const socket = lendingSocket(accepted);
    sockets.push(socket);
    door.accept(socket);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  const { port } = server.address() as AddressInfo;
  return { door, asking: { port, tls: { ca: tls.certificatePem, servername: NAME }, keyFile, user: "ada", host: "web-01" } };
}
