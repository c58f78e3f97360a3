import assert from "node:assert/strict";
import { connect } from "node:net";
import { after, afterEach, before, describe, test } from "node:test";
import { TestAuthority, TestServer } from "../../test/fixtures/ssh/test-server.js";
import { MLKEM768_X25519 } from "./algorithms.js";
import { connectSsh } from "./client.js";
import { exitOf } from "./client-connection.js";
import { generateSshKeyPair } from "./private-key.js";
import { type KeyExchange, type Protocol, requireSsh2 } from "./ssh2-internals.js";
import "./ssh2.js";
import { string, uint32 } from "./wire.js";

type Mangle = { readonly role: "client" | "server"; readonly duringRekey: boolean; readonly change: (sent: Buffer) => Buffer };

/** What one side sends in the key exchange is changed on its way out. */
let mangle: Mangle | null = null;
const { prototype } = requireSsh2<{ prototype: Protocol }>("lib/protocol/Protocol.js");
const accessor = Object.getOwnPropertyDescriptor(prototype, "_kex");
Object.defineProperty(prototype, "_kex", {
  configurable: true,
  get: accessor?.get,
  set(this: Protocol, exchange: KeyExchange | undefined) {
    accessor?.set?.call(this, exchange);
    if (exchange === undefined || mangle === null || this._server !== (mangle.role === "server")) return;
    if (mangle.duringRekey !== (exchange.sessionID !== undefined)) return;
    const { change } = mangle;
    const { getPublicKey } = exchange;
    exchange.getPublicKey = function () {
      return change(Buffer.from(getPublicKey.call(this) ?? Buffer.alloc(0)));
    };
  },
});

const resized = (length: number) => (sent: Buffer) =>
  Buffer.concat([sent, Buffer.alloc(Math.max(0, length - sent.length))]).subarray(0, length);
const filled = (value: number, start: number, end?: number) => (sent: Buffer) => sent.fill(value, start, end);

describe("peers that break the rules", () => {
  let authority: TestAuthority;
  let server: TestServer;
  let port: number;

  before(async () => {
    authority = new TestAuthority();
    server = new TestServer(authority);
    port = await server.listen();
  });
  afterEach(() => {
    mangle = null;
  });
  after(async () => {
    await server.close();
    authority.remove();
  });

  const login = () => {
    const key = generateSshKeyPair();
    return connectSsh({
      to: { host: "127.0.0.1", port },
      user: "alice",
      key,
      certificateBlob: authority.issue("user", key.publicKeyBlob),
      hostTrust: { authorities: [authority.hostCa.publicKeyBlob], name: "node1", now: () => new Date() },
      algorithms: { kex: [MLKEM768_X25519] },
    });
  };

  const works = async () => {
    mangle = null;
    const client = await login();
    const channel = await client.exec("exit 3");
    channel.resume();
    assert.equal((await exitOf(channel)).code, 3);
    client.close();
    await client.closed;
  };

  for (const [role, situation, change] of [
    ["client", "nothing", resized(0)],
    ["client", "one byte", resized(1)],
    ["client", "an X25519 key alone", resized(32)],
    ["client", "an ML-KEM key alone", resized(1184)],
    ["client", "one byte too few", resized(1215)],
    ["client", "one byte too many", resized(1217)],
    ["client", "30,000 bytes", resized(30_000)],
    ["client", "an ML-KEM key that is not reduced", filled(0xff, 0, 1152)],
    ["client", "an X25519 key of zeros", filled(0, 1184)],
    ["client", "zeros", filled(0, 0)],
    ["server", "nothing", resized(0)],
    ["server", "an X25519 key alone", resized(32)],
    ["server", "a ciphertext alone", resized(1088)],
    ["server", "one byte too few", resized(1119)],
    ["server", "one byte too many", resized(1121)],
    ["server", "an X25519 key of zeros", filled(0, 1088)],
    ["server", "a ciphertext with one bit changed", (sent: Buffer) => sent.fill((sent[5] ?? 0) ^ 1, 5, 6)],
  ] as const) {
    test(`a ${role} that sends ${situation} in the key exchange gets no connection, and the next one works`, async () => {
      mangle = { role, duringRekey: false, change };
      await assert.rejects(login(), { code: "SSH_CONNECTION_FAILED" });
      await works();
    });

    test(`a ${role} that sends ${situation} when keys are changed loses its connection, and the next one works`, async () => {
      const client = await login();
      mangle = { role, duringRekey: true, change };
      client.rekey();
      assert.notEqual(await client.closed, null);
      await works();
    });
  }

  const nameList = (names: string) => string(names);
  const kexInit = (exchange: string, options: { readonly raw?: Buffer; readonly follows?: boolean } = {}) =>
    Buffer.concat([
      Buffer.of(20),
      Buffer.alloc(16, 7),
      options.raw ?? nameList(exchange),
      nameList("ssh-ed25519-cert-v01@openssh.com"),
      ...["aes128-gcm@openssh.com", "aes128-gcm@openssh.com", "", "", "none", "none", "", ""].map(nameList),
      Buffer.of(options.follows ? 1 : 0, 0, 0, 0, 0),
    ]);
  const packet = (payload: Buffer) => {
    const padding = 4 + ((16 - ((9 + payload.length) % 8)) % 8);
    return Buffer.concat([uint32(1 + payload.length + padding), Buffer.of(padding), payload, Buffer.alloc(padding)]);
  };
  const strict = `${MLKEM768_X25519},kex-strict-c-v00@openssh.com`;
  const badInit = packet(Buffer.concat([Buffer.of(30), string(Buffer.alloc(1216, 0xff))]));
  const ignore = packet(Buffer.concat([Buffer.of(2), string("x")]));

  for (const [situation, messages] of [
    ["a KEXINIT whose list is longer than the packet", [packet(kexInit("", { raw: Buffer.alloc(4, 0xff) }))]],
    ["a KEXINIT cut short", [packet(Buffer.alloc(10, 20))]],
    ["only the name that the hybrid has inside ssh2", [packet(kexInit("curve25519-sha256@libssh.org"))]],
    ["only the name that this name is parked under", [packet(kexInit("parked@invalid"))]],
    ["only group exchange", [packet(kexInit("diffie-hellman-group-exchange-sha256"))]],
    [
      "the inner name before the hybrid, and a bad key",
      [packet(kexInit(`curve25519-sha256@libssh.org,${MLKEM768_X25519}`)), badInit],
    ],
    ["the hybrid twice, and a bad key", [packet(kexInit(`${MLKEM768_X25519},${MLKEM768_X25519}`)), badInit]],
    ["IGNORE inside a strict exchange", [packet(kexInit(strict)), ignore]],
    ["IGNORE before a strict exchange", [ignore, packet(kexInit(strict))]],
    ["KEXINIT twice", [packet(kexInit(MLKEM768_X25519)), packet(kexInit(MLKEM768_X25519))]],
    ["a key without its length", [packet(kexInit(MLKEM768_X25519)), packet(Buffer.of(30))]],
    ["a key that is longer than its packet", [packet(kexInit(MLKEM768_X25519)), packet(Buffer.of(30, 0, 0, 4, 0xc0, 1, 2))]],
    [
      "a wrong guess, then a bad key",
      [packet(kexInit(`x,${MLKEM768_X25519}`, { follows: true })), packet(Buffer.of(30, 0, 0, 0, 0)), badInit],
    ],
    [
      "an authentication request before the keys are there",
      [
        packet(kexInit(MLKEM768_X25519)),
        packet(Buffer.concat([Buffer.of(50), string("root"), string("ssh-connection"), string("none")])),
      ],
    ],
    ["a packet of 1 GiB", [Buffer.from("40000000", "hex"), Buffer.alloc(100)]],
    ["a packet of length 0", [Buffer.alloc(8)]],
    ["HTTP", [Buffer.from("GET / HTTP/1.1\r\n\r\n")]],
    ["noise", [Buffer.from("8f3ac1", "hex"), Buffer.alloc(70_000, 0xa5)]],
  ] as const) {
    test(`a client that sends ${situation} is disconnected, and the next one works`, async () => {
      const socket = connect(port, "127.0.0.1");
      socket.on("error", () => undefined).resume();
      socket.write("SSH-2.0-OpenSSH_raw\r\n");
      for (const message of messages) socket.write(message);
      await new Promise((resolve) => socket.once("close", resolve));
      await works();
    });
  }

  test("a client that never says that it speaks SSH 2 is disconnected", async () => {
    for (const text of ["GET / HTTP/1.1\r\nHost: x\r\n\r\n", "SSH-1.5-old\r\n", `SSH-2.0-${"x".repeat(9_000)}`]) {
      const impatient = new TestServer(authority, { loginGraceMs: 300 });
      const socket = connect(await impatient.listen(), "127.0.0.1");
      socket.on("error", () => undefined).resume();
      socket.write(text);
      await new Promise((resolve) => socket.once("close", resolve));
      await impatient.close();
    }
    await works();
  });
});
