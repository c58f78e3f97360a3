import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { existsSync } from "node:fs";
import { type AddressInfo, connect, createServer, type Server } from "node:net";
import { after, before, describe, test } from "node:test";
import { SshPrivateKey } from "../../core/ssh/private-key.js";
import { ssh, TestAuthority, TestServer } from "../fixtures/ssh/test-server.js";

describe("OpenSSH's client with our server", () => {
  let authority: TestAuthority;
  let server: TestServer;
  let port: number;
  let ed25519: string;

  before(async () => {
    authority = new TestAuthority();
    ed25519 = authority.clientKey("id_ed25519", "ed25519");
    server = new TestServer(authority);
    port = await server.listen();
  });

  after(async () => {
    await server.close();
    authority.remove();
  });

  for (const type of ["ed25519", "ecdsa", "rsa"] as const) {
    test(`logs in with a certificate for an ${type} key`, async () => {
      const key = authority.clientKey(`user_${type}`, type);
      const result = await ssh(authority, port, key, ["127.0.0.1", "echo hello; echo problem >&2; exit 7"]);
      assert.deepEqual(result, { code: 7, stdout: "hello\n", stderr: "problem\n" });
      assert.equal(server.connections.at(-1)?.identity.keyId, "alice");
    });
  }

  for (const cipher of [
    "chacha20-poly1305@openssh.com",
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "aes128-ctr",
    "aes192-ctr",
    "aes256-ctr",
  ]) {
    test(`moves data both ways with ${cipher}, also across changes of keys`, async () => {
      const input = "0123456789abcdef".repeat(200_000);
      const result = await ssh(
        authority,
        port,
        ed25519,
        ["-o", `Ciphers=${cipher}`, "-o", "RekeyLimit=512K", "127.0.0.1", "cat"],
        input,
      );
      assert.equal(result.stderr, "");
      assert.equal(result.stdout === input, true);
      assert.equal(server.connections.at(-1)?.algorithms.cipher, cipher);
    });
  }

  for (const mac of ["hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com", "hmac-sha2-256", "hmac-sha2-512"]) {
    test(`works with ${mac}`, async () => {
      const result = await ssh(authority, port, ed25519, [
        "-o",
        "Ciphers=aes256-ctr",
        "-o",
        `MACs=${mac}`,
        "127.0.0.1",
        "echo ok",
      ]);
      assert.deepEqual(result, { code: 0, stdout: "ok\n", stderr: "" });
    });
  }

  for (const exchange of [
    "curve25519-sha256",
    "ecdh-sha2-nistp256",
    "ecdh-sha2-nistp384",
    "ecdh-sha2-nistp521",
    "diffie-hellman-group14-sha256",
    "diffie-hellman-group16-sha512",
  ]) {
    test(`works with the key exchange ${exchange}`, async () => {
      const result = await ssh(authority, port, ed25519, ["-o", `KexAlgorithms=${exchange}`, "127.0.0.1", "echo ok"]);
      assert.deepEqual(result, { code: 0, stdout: "ok\n", stderr: "" });
    });
  }

  for (const exchange of [
    "curve25519-sha256@libssh.org",
    "diffie-hellman-group14-sha1",
    "diffie-hellman-group-exchange-sha256",
  ]) {
    test(`refuses a client that offers ${exchange} alone`, async () => {
      const result = await ssh(authority, port, ed25519, ["-o", `KexAlgorithms=${exchange}`, "127.0.0.1", "true"]);
      assert.equal(result.code, 255);
    });
  }

  for (const [type, key] of [
    ["ecdsa-sha2-nistp256", generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey],
    ["ecdsa-sha2-nistp521", generateKeyPairSync("ec", { namedCurve: "P-521" }).privateKey],
    ["rsa-sha2-512", generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey],
    ["rsa-sha2-256", generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey],
  ] as const) {
    test(`proves itself with a host certificate and ${type}`, async () => {
      const previous = server.hostKeys;
      server.hostKeys = [authority.hostKey(new SshPrivateKey(key))];
      const result = await ssh(authority, port, ed25519, [
        "-o",
        `HostKeyAlgorithms=${type}-cert-v01@openssh.com`,
        "127.0.0.1",
        "echo ok",
      ]);
      server.hostKeys = previous;
      assert.deepEqual(result, { code: 0, stdout: "ok\n", stderr: "" });
    });
  }

  for (const [situation, overrides, said] of [
    [
      "an expired certificate",
      { validAfter: new Date(1e12), validBefore: new Date(1.1e12) },
      "the certificate has expired; log in again",
    ],
    ["a login that is not in the certificate", { principals: ["bob"] }, '"alice" is not among the principals of the certificate'],
    [
      "an address that the certificate excludes",
      { criticalOptions: { "source-address": "192.0.2.0/24" } },
      "the certificate may not be used from 127.0.0.1",
    ],
  ] as const) {
    test(`says in one line why it refuses ${situation}`, async () => {
      const key = authority.clientKey(`refused_${said.length}`, "ed25519", overrides);
      const result = await ssh(authority, port, key, ["127.0.0.1", "true"]);
      assert.equal(result.code, 255);
      assert.ok(result.stderr.includes(said), result.stderr);
    });
  }

  test("is told when it tried too many keys", async () => {
    const keys = Array.from({ length: 4 }, (_, index) =>
      authority.clientKey(`many_${index}`, "ed25519", { principals: ["bob"] }),
    );
    const result = await ssh(authority, port, keys[0] ?? "", [...keys.flatMap((key) => ["-i", key]), "127.0.0.1", "true"]);
    assert.equal(result.code, 255);
    assert.ok(result.stderr.includes("Too many authentication failures"), result.stderr);
  });

  test("shows the administrator's words when the session is ended", async () => {
    const running = ssh(authority, port, ed25519, ["127.0.0.1", "sleep 30"]);
    const count = server.connections.length;
    while (server.connections.length === count) await new Promise((resolve) => setTimeout(resolve, 20));
    server.connections.at(-1)?.disconnect("ended by an administrator");
    const { stderr } = await running;
    assert.ok(stderr.includes("ended by an administrator"), stderr);
  });

  test("gets a terminal, its environment, a subsystem, forwardings and its agent", async () => {
    const seen: string[] = [];
    const remote = createServer((socket) => socket.end("answer"));
    await new Promise<void>((resolve) => remote.listen(0, "127.0.0.1", resolve));
    const remotePort = (remote.address() as AddressInfo).port;
    const listeners: Server[] = [];
    const features = new TestServer(authority, {
      onConnection: (connection) => {
        connection.handle({
          directTcpip: (request) => {
            seen.push(`direct ${request.host}`);
            const channel = request.accept();
            if (channel !== null) channel.pipe(connect(request.port, request.host)).pipe(channel);
          },
          tcpipForward: (request) => {
            const listener = createServer((socket) => {
              const { port: bound } = listener.address() as AddressInfo;
              void connection
                .forwardTcpip({ address: request.address, port: bound }, { address: "127.0.0.1", port: 1 })
                .then((channel) => socket.pipe(channel).pipe(socket));
            });
            listeners.push(listener);
            listener.listen(request.port, "127.0.0.1", () => request.accept((listener.address() as AddressInfo).port));
          },
          session: (session) =>
            session.handle({
              terminal: ({ term, columns }) => seen.push(`terminal ${term} ${columns > 0 || columns === 0}`) > 0,
              environment: (name, value) => seen.push(`${name}=${value}`) > 0,
              agentForwarding: () => seen.push("agent") > 0,
              start: (program) => {
                seen.push(`${program.kind} ${program.command}`);
                const channel = program.accept();
                if (channel === null) return;
                const finish = (text: string) => {
                  channel.write(text);
                  channel.exit(0);
                  channel.end();
                };
                if (program.command === "reverse") {
                  const reverse = connect(portOf(listeners[0]), "127.0.0.1");
                  let received = "";
                  reverse.on("data", (data) => {
                    received += data.toString();
                  });
                  reverse.once("close", () => finish(received));
                } else if (program.command === "agent") {
                  void connection.openAgentChannel().then((agent) => {
                    agent.once("data", (data: Buffer) => {
                      agent.end(); // OpenSSH's client stays until every channel is closed
                      finish(`agent answers ${data[4]}`);
                    });
                    agent.write(Buffer.from("000000010b", "hex")); // SSH_AGENTC_REQUEST_IDENTITIES
                  });
                } else finish("done");
              },
            }),
        });
      },
    });
    const featurePort = await features.listen();
    const agentSocket = authority.path("agent");
    const agent = spawn("ssh-agent", ["-D", "-a", agentSocket], { stdio: "ignore" });
    while (!existsSync(agentSocket)) await new Promise((resolve) => setTimeout(resolve, 20));
    try {
      const run = (...args: string[]) => ssh(authority, featurePort, ed25519, args);
      assert.equal((await run("-tt", "-o", "SetEnv=LANG=C", "127.0.0.1", "terminal")).stdout, "done");
      assert.equal((await run("-s", "127.0.0.1", "sftp")).stdout, "done");
      assert.equal((await run("-W", `127.0.0.1:${remotePort}`, "127.0.0.1")).stdout, "answer");
      assert.equal((await run("-R", `0:127.0.0.1:${remotePort}`, "127.0.0.1", "reverse")).stdout, "answer");
      assert.equal((await run("-A", "127.0.0.1", "agent")).stdout, "agent answers 12"); // SSH_AGENT_IDENTITIES_ANSWER
      assert.deepEqual(
        seen.filter((entry) => !entry.startsWith("terminal")),
        ["LANG=C", "exec terminal", "subsystem sftp", "direct 127.0.0.1", "exec reverse", "agent", "exec agent"],
      );
      assert.ok(seen.some((entry) => entry.startsWith("terminal")));
    } finally {
      agent.kill();
      for (const listener of [remote, ...listeners]) listener.close();
      await features.close();
    }
  });
});

function portOf(listener: Server | undefined): number {
  assert.ok(listener);
  return (listener.address() as AddressInfo).port;
}
