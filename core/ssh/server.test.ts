import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { Duplex } from "node:stream";
import { text } from "node:stream/consumers";
import { after, before, describe, test } from "node:test";
import { TestAuthority, TestServer } from "../../test/fixtures/ssh/test-server.js";
import { OFFER } from "./algorithms.js";
import { parseCertificate } from "./certificate.js";
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

  const loginOptions = (port: number, overrides: Partial<SshClientOptions> = {}): SshClientOptions => {
    const key = generateSshKeyPair();
    return {
      to: { host: "127.0.0.1", port },
      user: "alice",
      key,
      certificateBlob: authority.issue("user", key.publicKeyBlob),
      hostTrust: { authorities: [authority.hostCa.publicKeyBlob], name: "node1", now: () => new Date() },
      ...overrides,
    };
  };

  const withServer = async (server: TestServer, use: (port: number) => Promise<void>) => {
    try {
      await use(await server.listen());
    } finally {
      await server.close();
    }
  };

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

  test("closes a client that does not log in within the grace time", async () => {
    let onRefused: (reason: string) => void = () => undefined;
    const refused = new Promise<string>((resolve) => {
      onRefused = resolve;
    });
    const server = new TestServer(authority, { loginGraceMs: 200, onRefused });
    await withServer(server, async (port) => {
      const socket = connect(port, "127.0.0.1").on("error", () => undefined);
      socket.resume();
      assert.equal(await refused, "login grace time exceeded");
    });
  });

  test("makes room for clients that come by closing the one that has waited longest, whoever has proven nothing first", async () => {
    let ask: (() => void) | undefined;
    const asked = new Promise<void>((resolve) => {
      ask = resolve;
    });
    const server = new TestServer(authority, {
      maxUnauthenticated: 2,
      methods: ["publickey", "keyboard-interactive"],
      authenticate: async (attempt) => {
        if (attempt.method === "publickey")
          return attempt.isProven && attempt.certificate !== null
            ? { reject: null, methods: ["keyboard-interactive"], isPartial: true, graceMs: 10_000 }
            : { reject: null };
        ask?.();
        await attempt.prompt("wait", [{ prompt: "?", echo: true }]);
        return { reject: null };
      },
    });
    await withServer(server, async (port) => {
      const person = { key: generateSshKeyPair(), onQuestions: () => new Promise<readonly string[]>(() => {}) };
      const certificateBlob = authority.issue("user", person.key.publicKeyBlob, {});
      const hostTrust = { pinnedKeys: [server.hostKeys[0]?.key.publicKeyBlob ?? Buffer.alloc(0)] };
      let isGone = false;
      const waiting = connectSsh({ to: { host: "127.0.0.1", port }, user: "alice", ...person, certificateBlob, hostTrust }).catch(
        () => {
          isGone = true;
        },
      );
      await asked;
      const open = async () => {
        const socket = connect(port, "127.0.0.1").on("error", () => undefined);
        await new Promise((resolve) => socket.once("data", resolve));
        return { socket, closed: new Promise((resolve) => socket.resume().once("close", resolve)) };
      };
      const first = await open();
      const second = await open();
      await first.closed;
      const third = await open();
      await second.closed;
      assert.deepEqual([isGone, third.socket.destroyed, server.server.connectionCount], [false, false, 2]);
      assert.deepEqual(server.refusals, ["too many unauthenticated clients", "too many unauthenticated clients"]);
      third.socket.destroy();
      server.server.close("the test is over");
      await waiting;
    });
  });

  test("takes no login name without an end", async () => {
    const logins: number[] = [];
    const server = new TestServer(authority, {
      authenticate: async ({ user }) => {
        logins.push(user.length);
        return { reject: null };
      },
    });
    await withServer(server, async (port) => {
      const hostTrust = { pinnedKeys: [server.hostKeys[0]?.key.publicKeyBlob ?? Buffer.alloc(0)] };
      const attempt = { to: { host: "127.0.0.1", port }, key: generateSshKeyPair(), certificateBlob: null, hostTrust };
      for (const length of [256, 257]) await assert.rejects(connectSsh({ ...attempt, user: "x".repeat(length) }));
      assert.deepEqual([...new Set(logins)], [256]);
      while (server.refusals.length < 2) await new Promise((resolve) => setTimeout(resolve, 10));
      assert.equal(server.refusals.at(-1), "the login name is too long");
    });
  });

  test("takes no identity from a question without a signature", async () => {
    const proven: boolean[] = [];
    const server = new TestServer(authority, {
      authenticate: async (attempt) => {
        if (attempt.method === "publickey") proven.push(attempt.isProven);
        return { reject: null };
      },
    });
    await withServer(server, async (port) => {
      await assert.rejects(connectSsh(loginOptions(port)));
      assert.deepEqual(proven, [true]);
      assert.equal(server.connections.length, 0);
    });
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

  for (const [answer, isLetIn] of [
    ["123456", true],
    ["000000", false],
  ] as const) {
    test(`asks for a second factor and ${isLetIn ? "lets in with the right" : "refuses a wrong"} answer`, async () => {
      const server = new TestServer(authority, {
        methods: ["publickey", "keyboard-interactive"],
        authenticate: async (attempt) => {
          if (attempt.method === "publickey") return { reject: null, methods: ["keyboard-interactive"], isPartial: true };
          const [code] = await attempt.prompt("second factor", [{ prompt: "Code: ", echo: false }]);
          return code === "123456"
            ? { accept: parseCertificate(authority.issue("user", generateSshKeyPair().publicKeyBlob)) }
            : { reject: "wrong code" };
        },
      });
      await withServer(server, async (port) => {
        const asked: string[] = [];
        const onQuestions: SshClientOptions["onQuestions"] = async (instruction, questions) => {
          asked.push(instruction, ...questions.map((question) => question.prompt));
          return [answer];
        };
        const login = connectSsh(loginOptions(port, { onQuestions }));
        if (isLetIn) (await login).close();
        else await assert.rejects(login, { code: "SSH_AUTHENTICATION_FAILED", message: /wrong code/ });
        assert.deepEqual(asked, ["second factor", "Code: "]);
      });
    });
  }
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
