import assert from "node:assert/strict";
import { connect } from "node:net";
import { after, before, describe, test } from "node:test";
import { loginTo, TestAuthority, TestServer, withServer } from "../../test/fixtures/ssh/test-server.js";
import { parseCertificate } from "./certificate.js";
import { connectSsh, type SshClientOptions } from "./client.js";
import { generateSshKeyPair } from "./private-key.js";

describe("logging in at the SSH server", () => {
  let authority: TestAuthority;
  before(() => {
    authority = new TestAuthority();
  });
  after(() => authority.remove());

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
      await assert.rejects(connectSsh(loginTo(authority, port)));
      assert.deepEqual(proven, [true]);
      assert.equal(server.connections.length, 0);
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
        const login = connectSsh(loginTo(authority, port, { onQuestions }));
        if (isLetIn) (await login).close();
        else await assert.rejects(login, { code: "SSH_AUTHENTICATION_FAILED", message: /wrong code/ });
        assert.deepEqual(asked, ["second factor", "Code: "]);
      });
    });
  }
});
