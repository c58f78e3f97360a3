import assert from "node:assert/strict";
import { once } from "node:events";
import { Duplex } from "node:stream";
import { text } from "node:stream/consumers";
import { after, before, describe, test } from "node:test";
import { loginTo, TestAuthority, TestServer, withServer } from "../../test/fixtures/ssh/test-server.js";
import { OFFER } from "./algorithms.js";
import { connectSsh, type SshClientOptions } from "./client.js";
import { exitOf } from "./client-connection.js";
import { generateSshKeyPair } from "./private-key.js";
import type { SshProgram } from "./server-session.js";
import { sshCryptoBackend } from "./ssh2.js";
import { type Protocol } from "./ssh2-internals.js";
import { sendPayload } from "./transport.js";
import { string, uint32 } from "./wire.js";

describe("the SSH server with our own client", () => {
  let authority: TestAuthority;

  before(() => {
    authority = new TestAuthority();
  });
  after(() => authority.remove());

  const loginOptions = (port: number, overrides: Partial<SshClientOptions> = {}) => loginTo(authority, port, overrides);

  test("uses the compiled cipher", () => {
    assert.equal(sshCryptoBackend(), "native");
  });

  test("prefers the post-quantum exchange and AES-GCM, and counts bytes", async () => {
    await withServer(new TestServer(authority), async (port) => {
      const client = await connectSsh(loginOptions(port));
      assert.deepEqual(client.algorithms, {
        keyExchange: "mlkem768x25519-sha256",
        hostKey: "ssh-ed25519-cert-v01@openssh.com",
        cipher: "aes128-gcm@openssh.com",
      });
      const channel = await client.exec("printf hello; exit 5");
      assert.equal(await text(channel), "hello");
      assert.ok(client.stats.bytesReceived > 1_000 && client.stats.bytesSent > 1_000);
      client.close();
      assert.equal(await client.closed, null);
    });
  });

  test("counts messages with data both ways, and no others", async () => {
    const server = new TestServer(authority);
    await withServer(server, async (port) => {
      const client = await connectSsh(loginOptions(port));
      const channel = await client.exec("cat");
      const connection = server.connections[0];
      assert.equal(connection?.dataMessages, 0);
      channel.write("echo");
      await once(channel, "data");
      assert.equal(connection?.dataMessages, 2);
      connection?.rekey();
      const silent = await client.exec("true");
      const exited = exitOf(silent);
      silent.resume();
      assert.equal((await exited).code, 0);
      assert.equal(connection?.dataMessages, 2);
      client.close();
      await client.closed;
    });
  });

  for (const cipher of OFFER.cipher) {
    test(`echoes 4 MiB with ${cipher} while keys change after every 512 KiB`, async () => {
      await withServer(new TestServer(authority, { rekeyBytes: 2 ** 19 }), async (port) => {
        const client = await connectSsh(loginOptions(port, { algorithms: { cipher: [cipher] } }));
        const channel = await client.exec("cat");
        const sent = Buffer.alloc(4 * 2 ** 20, "0123456789");
        const exited = exitOf(channel);
        channel.end(sent);
        const received: Buffer[] = [];
        for await (const chunk of channel) received.push(chunk as Buffer);
        assert.equal(Buffer.concat(received).equals(sent), true);
        assert.equal((await exited).code, 0);
        client.close();
        await client.closed;
      });
    });
  }

  for (const [situation, overrides, code] of [
    [
      "a host certificate for another name",
      { hostTrust: { authorities: [], name: "node1", now: () => new Date() } },
      "SSH_HOST_KEY_REFUSED",
    ],
    [
      "another host key than the pinned one",
      { hostTrust: { pinnedKeys: [generateSshKeyPair().publicKeyBlob] } },
      "SSH_HOST_KEY_REFUSED",
    ],
    ["a plain key where a certificate is needed", { certificateBlob: null }, "SSH_AUTHENTICATION_FAILED"],
    ["a login that is not certified", { user: "mallory" }, "SSH_AUTHENTICATION_FAILED"],
    ["a certificate for another key", { key: generateSshKeyPair() }, "SSH_AUTHENTICATION_FAILED"],
  ] as const) {
    test(`refuses ${situation}`, async () => {
      await withServer(new TestServer(authority), async (port) => {
        const { certificateBlob } = loginOptions(port);
        await assert.rejects(
          connectSsh(loginOptions(port, { ...(situation.includes("another key") ? { certificateBlob } : {}), ...overrides })),
          { code },
        );
      });
    });
  }

  test("tells the client why, in words of the policy", async () => {
    await withServer(
      new TestServer(authority, { authenticate: async () => ({ reject: "login deploy is\nlocked" }) }),
      async (port) => {
        await assert.rejects(connectSsh(loginOptions(port)), {
          code: "SSH_AUTHENTICATION_FAILED",
          message: "the SSH server refused the login: login deploy is locked",
        });
      },
    );
  });

  test("accepts a pinned plain host key", async () => {
    const server = new TestServer(authority);
    await withServer(server, async (port) => {
      const pinned = server.hostKeys[0]?.key.publicKeyBlob ?? Buffer.alloc(0);
      const client = await connectSsh(loginOptions(port, { hostTrust: { pinnedKeys: [pinned] } }));
      assert.equal(client.algorithms.hostKey, "ssh-ed25519");
      client.close();
      await client.closed;
    });
  });

  test("shows a renewed host certificate to new clients and keeps the old connections", async () => {
    const server = new TestServer(authority);
    await withServer(server, async (port) => {
      const old = await connectSsh(loginOptions(port));
      const renewed = generateSshKeyPair();
      server.hostKeys = [authority.hostKey(renewed)];
      const fresh = await connectSsh(
        loginOptions(port, {
          hostTrust: { authorities: [authority.hostCa.publicKeyBlob], name: "node1", now: () => new Date() },
        }),
      );
      const pinned = await connectSsh(loginOptions(port, { hostTrust: { pinnedKeys: [renewed.publicKeyBlob] } }));
      old.rekey();
      const channel = await old.exec("echo still here");
      assert.equal(await text(channel), "still here\n");
      for (const client of [old, fresh, pinned]) client.close();
    });
  });

  test("keeps data, and its end, that come before the program is accepted", async () => {
    const server = new TestServer(authority, {}, () => ({
      start: (program: SshProgram) => {
        setTimeout(() => {
          const channel = program.accept();
          channel
            ?.on("data", (data: Buffer) => channel.write(data))
            .on("end", () => {
              channel.exit(0);
              channel.end();
            });
        }, 50);
      },
    }));
    await withServer(server, async (port) => {
      const client = await connectSsh(loginOptions(port));
      const opened = client.exec("cat");
      const channel = await opened;
      channel.end("early");
      assert.equal(await text(channel), "early");
      client.close();
    });
  });

  test("tells how a program ended also when that comes with the answer to its start", async () => {
    const start = (program: SshProgram) => {
      const channel = program.accept();
      channel?.exit(3);
      channel?.end();
    };
    await withServer(new TestServer(authority, {}, () => ({ start })), async (port) => {
      const client = await connectSsh(loginOptions(port));
      const channel = await client.exec("exit 3");
      channel.resume();
      assert.deepEqual(await exitOf(channel), { code: 3, signal: null });
      client.close();
      await client.closed;
    });
  });

  for (const [keepaliveMs, asks] of [
    [undefined, true],
    [0, false],
  ] as const)
    test(`${asks ? "asks" : "does not ask"} a silent client for a sign of life with keepaliveMs ${keepaliveMs}`, async (t) => {
      t.mock.timers.enable({ apis: ["setInterval"] });
      const server = new TestServer(authority, keepaliveMs === undefined ? {} : { keepaliveMs });
      await withServer(server, async (port) => {
        const client = await connectSsh(loginOptions(port));
        const sent = server.connections[0]?.stats.bytesSent ?? 0;
        t.mock.timers.tick(15_000);
        assert.equal((server.connections[0]?.stats.bytesSent ?? 0) > sent, asks);
        client.close();
        await client.closed;
      });
    });

  test("says why a channel is refused", async () => {
    await withServer(new TestServer(authority), async (port) => {
      const client = await connectSsh(loginOptions(port));
      await assert.rejects(client.forwardOut("127.0.0.1", 1), {
        code: "SSH_CHANNEL_REFUSED",
        message: /port forwarding is not allowed/,
      });
      client.close();
    });
  });

  test("ends a session with the administrator's words", async () => {
    const server = new TestServer(authority);
    await withServer(server, async (port) => {
      const client = await connectSsh(loginOptions(port));
      server.connections[0]?.disconnect("your session was ended by an administrator");
      await client.closed;
      await server.connections[0]?.closed;
      assert.equal(server.connections[0]?.isClosed, true);
    });
  });

  test("serves a stream that is not a socket", async () => {
    const server = new TestServer(authority);
    const [near, far] = duplexPair();
    server.server.serve(far, { remoteAddress: "192.0.2.7", remotePort: 7 });
    const client = await connectSsh(loginOptions(0, { to: near }));
    assert.deepEqual(server.connections[0]?.peer, { remoteAddress: "192.0.2.7", remotePort: 7 });
    assert.equal(await text(await client.exec("echo through a tunnel")), "through a tunnel\n");
    client.close();
    await client.closed;
  });

  for (const [situation, payloads] of [
    [
      "opens a channel with packets of size 0",
      [Buffer.concat([Buffer.of(90), string("session"), uint32(9), uint32(1_000), uint32(0)])],
    ],
    [
      "sends more data than the window allows",
      [
        Buffer.concat([Buffer.of(90), string("session"), uint32(9), uint32(1_000), uint32(1_000)]),
        Buffer.concat([Buffer.of(98), uint32(0), string("exec"), Buffer.of(0), string("sleep 60")]),
        ...Array.from({ length: 300 }, () => Buffer.concat([Buffer.of(94), uint32(0), string(Buffer.alloc(32_768))])),
      ],
    ],
  ] as const) {
    test(`disconnects a client that ${situation}`, async () => {
      const server = new TestServer(authority, {}, () => ({ start: (program: SshProgram) => void program.accept() }));
      await withServer(server, async (port) => {
        const client = await connectSsh(loginOptions(port));
        const { _protocol: protocol } = (client as unknown as { client: { _protocol: Protocol } }).client;
        for (const payload of payloads) sendPayload(protocol, payload);
        await client.closed;
        assert.match((await server.connections[0]?.closed) ?? "", /size 0|beyond the window/);
      });
    });
  }

  test("forgets sessions that were opened and closed without running anything", async () => {
    const server = new TestServer(authority, { maxChannels: 2 });
    await withServer(server, async (port) => {
      const client = await connectSsh(loginOptions(port));
      const { _protocol: protocol } = (client as unknown as { client: { _protocol: Protocol } }).client;
      for (let id = 0; id < 10; id++) {
        sendPayload(protocol, Buffer.concat([Buffer.of(90), string("session"), uint32(900 + id), uint32(1_000), uint32(1_000)]));
        sendPayload(protocol, Buffer.concat([Buffer.of(97), uint32(id)]));
      }
      assert.equal(await text(await client.exec("echo ok")), "ok\n");
      client.close();
    });
  });
});

class PairedStream extends Duplex {
  peer: PairedStream | null = null;

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.peer?.push(chunk);
    done();
  }

  override _final(done: () => void): void {
    this.peer?.push(null);
    done();
  }
}

function duplexPair(): [Duplex, Duplex] {
  const [one, other] = [new PairedStream(), new PairedStream()];
  one.peer = other;
  other.peer = one;
  return [one, other];
}
