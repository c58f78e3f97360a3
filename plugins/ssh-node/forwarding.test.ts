import assert from "node:assert/strict";
import { type ChildProcess, execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { chmodSync, chownSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import { after, before, describe, test } from "node:test";
import { isMezError } from "../../core/errors/error.js";
import { eventually } from "../../test/fixtures/eventually.js";
import { freePorts } from "../../test/fixtures/free-ports.js";
import { TestNode } from "../../test/fixtures/ssh/test-node.js";

describe("files and forwarding on a node, with OpenSSH's programs", () => {
  let node: TestNode;
  let key: string;
  let folder: string;
  let echo: Server;
  let echoPort: number;
  const clients: ChildProcess[] = [];

  before(async () => {
    node = new TestNode();
    await node.listen();
    key = node.key();
    folder = mkdtempSync(join(tmpdir(), "mezite-files-"));
    chmodSync(folder, 0o755);
    echo = createServer({ allowHalfOpen: true }, (socket) => socket.on("error", () => undefined).pipe(socket));
    echoPort = await listen(echo, 0);
  });
  after(async () => {
    for (const client of clients) client.kill("SIGKILL");
    echo.close();
    await node.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const forward = async (args: readonly string[]): Promise<ChildProcess> => {
    const client = node.start(key, ["-o", "ExitOnForwardFailure=yes", ...args, "node1", "echo up; sleep 60"]);
    clients.push(client);
    await once(client.stdout!, "data");
    return client;
  };
  const freePort = async (): Promise<number> => (await freePorts(1))[0] as number;

  for (const [name, program, args] of [
    ["scp", "scp", []],
    ["scp with its old protocol", "scp", ["-O"]],
  ] as const) {
    test(`copies a file there and back with ${name}, unrecorded but audited`, async () => {
      const [source, back] = [join(folder, "source"), join(folder, "back")];
      writeFileSync(source, randomBytes(3_000_000));
      const recordings = node.recordings.length;
      assert.equal((await node.run(program, [...args, "-q", ...node.options(key), source, "node1:copied"])).stderr, "");
      assert.equal((await node.run(program, [...args, "-q", ...node.options(key), "node1:copied", back])).stderr, "");
      assert.ok(readFileSync(back).equals(readFileSync(source)));
      assert.equal(statSync(join(node.home, "copied")).uid, node.account.uid);
      assert.equal(node.recordings.length, recordings);
      assert.equal(node.audited.at(-1)?.type, "session.file");
    });
  }

  test("serves sftp", async () => {
    const { code, stdout } = await node.run("sftp", ["-q", ...node.options(key), "-b", "-", "node1"], "mkdir sub\nls\n");
    assert.equal(code, 0);
    assert.match(stdout, /sub/);
  });

  test("serves rsync and git", async () => {
    const shell = `ssh ${node.options(key).join(" ")}`;
    writeFileSync(join(folder, "one"), "1");
    const recordings = node.recordings.length;
    assert.equal((await node.run("rsync", ["-a", "-e", shell, join(folder, "one"), "node1:rsynced"])).stderr, "");
    assert.equal(readFileSync(join(node.home, "rsynced"), "utf8"), "1");
    const made = await node.ssh(key, [
      "node1",
      "git init -q r && cd r && git -c user.name=a -c user.email=a@b commit -q --allow-empty -m first",
    ]);
    assert.deepEqual([made.code, made.stderr.includes("fatal")], [0, false]);
    const clone = await node.run("git", ["clone", "-q", `node1:${node.home}/r`, join(folder, "clone")], "", {
      GIT_SSH_COMMAND: shell,
    });
    assert.equal(clone.code, 0, clone.stderr);
    assert.equal(node.recordings.length, recordings + 1); // of `git init` alone
  });

  test("forwards a local port, half-close included", async () => {
    const port = await freePort();
    const client = await forward(["-L", `${port}:127.0.0.1:${echoPort}`]);
    const sent = randomBytes(2_000_000);
    assert.ok((await exchange(connect({ port, host: "127.0.0.1", allowHalfOpen: true }), sent)).equals(sent));
    assert.ok(
      node.audited.some(({ type, metadata }) => type === "session.forward" && metadata?.target === `127.0.0.1:${echoPort}`),
    );
    client.kill();
  });

  test("says why a local port leads nowhere", async () => {
    const { stderr } = await node.ssh(key, ["-W", "127.0.0.1:1", "node1"]);
    assert.match(stderr, /open failed.*ECONNREFUSED/);
  });

  test("refuses a port that is none and goes on", async () => {
    const connection = await node.connect();
    for (const port of [65_536, 2 ** 32 - 1])
      await assert.rejects(connection.forwardOut("127.0.0.1", port), (error) => isMezError(error, "SSH_CHANNEL_REFUSED"));
    const channel = await connection.forwardOut("127.0.0.1", echoPort);
    assert.ok((await exchange(channel, randomBytes(10))).length === 10);
    connection.close();
  });

  test("listens on a hundred ports and paths of a session, however fast they are asked for", async () => {
    const ports = Array.from({ length: 130 }, (_, index) => ["-R", `0:127.0.0.1:${index + 1}`]).flat();
    const paths = Array.from({ length: 130 }, (_, index) => ["-R", `${join(node.home, `many-${index}`)}:127.0.0.1:${echoPort}`]);
    const client = node.start(key, [...ports, ...paths.flat(), "node1", "echo up; sleep 60"]);
    clients.push(client);
    let stderr = "";
    client.stderr?.on("data", (chunk) => (stderr += String(chunk)));
    const count = (words: RegExp): number => stderr.match(words)?.length ?? 0;
    await eventually(async () => count(/Allocated port|forwarding failed for listen/g) === 160);
    assert.equal(count(/Allocated port/g), 100);
    assert.equal(readdirSync(node.home).filter((name) => name.startsWith("many-")).length, 100);
    client.kill();
    await once(client, "close");
  });

  test("tells the audit log of each target of a session once, and when there are too many", async () => {
    const before = node.audited.length;
    const [local, nothing] = [join(folder, "to-nothing"), join(folder, "nothing")];
    const client = await forward(["-L", `${local}:${nothing}`]);
    for (let round = 0; round < 3; round++) await once(connect(local).resume(), "close");
    client.kill();
    const toldOf = () => node.audited.slice(before).map(({ metadata }) => metadata?.target);
    assert.deepEqual(toldOf(), [nothing]);
    const connection = await node.connect();
    for (let port = 1; port <= 1_010; port++)
      await connection.forwardOut("127.0.0.3", port).then(
        (channel) => channel.close(),
        () => undefined,
      );
    connection.close();
    const targets = toldOf().slice(1);
    assert.deepEqual([targets.length, targets[0]], [1_001, "127.0.0.3:1"]);
    assert.equal(targets.at(-1), "more than 1000 targets; no further ones of this session are listed");
  });

  test("forwards a remote port, chosen by the node or by the client, on loopback only", async () => {
    const port = await freePort();
    const client = node.start(key, [
      "-R",
      `0:127.0.0.1:${echoPort}`,
      "-R",
      `*:${port}:127.0.0.1:${echoPort}`,
      "node1",
      "echo up; sleep 60",
    ]);
    clients.push(client);
    let stderr = "";
    client.stderr?.on("data", (chunk) => (stderr += String(chunk)));
    await once(client.stdout!, "data");
    const chosen = Number(/Allocated port (\d+)/.exec(stderr)?.[1]);
    for (const each of [chosen, port]) {
      const sent = randomBytes(100_000);
      assert.ok((await exchange(connect({ port: each, host: "127.0.0.1", allowHalfOpen: true }), sent)).equals(sent));
    }
    client.kill();
    await once(client, "close");
    await refuses(() => connect({ port: chosen, host: "127.0.0.1" }));
  });

  test("forwards dynamically", async () => {
    const port = await freePort();
    const client = await forward(["-D", String(port)]);
    const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
    socket.write(Buffer.from([5, 1, 0]));
    await once(socket, "data");
    socket.write(Buffer.from([5, 1, 0, 1, 127, 0, 0, 1, echoPort >> 8, echoPort & 255]));
    await once(socket, "data");
    const sent = randomBytes(50_000);
    assert.ok((await exchange(socket, sent)).equals(sent));
    client.kill();
  });

  test("forwards unix sockets both ways, with the login's rights", async () => {
    const open = createServer({ allowHalfOpen: true }, (socket) => socket.pipe(socket));
    const shared = join(folder, "open");
    await new Promise<void>((resolve) => open.listen(shared, resolve));
    chmodSync(shared, 0o777);
    const [local, remote] = [join(folder, "local"), join(node.home, "remote")];
    const client = await forward(["-L", `${local}:${shared}`, "-R", `${remote}:127.0.0.1:${echoPort}`]);
    const sent = randomBytes(300_000);
    assert.ok((await exchange(connect({ path: local, allowHalfOpen: true }), sent)).equals(sent));
    const { uid, mode } = statSync(remote);
    assert.deepEqual([uid, mode & 0o777], [node.account.uid, 0o600]);
    assert.ok((await exchange(connect({ path: remote, allowHalfOpen: true }), sent)).equals(sent));
    client.kill();
    await eventually(() => !exists(remote));
    open.close();
  });

  test("does not open a socket that the login may not", async (t) => {
    if (process.getuid?.() !== 0) return t.diagnostic("needs root: everything belongs to the same user otherwise");
    const secret = createServer((socket) => socket.end("secret"));
    const path = join(folder, "secret");
    await new Promise<void>((resolve) => secret.listen(path, resolve));
    chmodSync(path, 0o600);
    chownSync(path, 0, 0);
    const local = join(folder, "to-secret");
    const client = await forward(["-L", `${local}:${path}`]);
    const received = await exchange(connect({ path: local, allowHalfOpen: true }), Buffer.alloc(0)).catch(() => Buffer.alloc(0));
    assert.equal(received.length, 0);
    client.kill();
    secret.close();
    const taken = await node.ssh(key, [
      "-o",
      "ExitOnForwardFailure=yes",
      "-R",
      `/etc/mezite-test:127.0.0.1:${echoPort}`,
      "node1",
      "sleep 5",
    ]);
    assert.equal(taken.code, 255);
    assert.equal(exists("/etc/mezite-test"), false);
  });

  test("forwards the agent to the login alone", async () => {
    const agentPath = join(folder, "agent");
    const [, pid = ""] = /SSH_AGENT_PID=(\d+)/.exec(execFileSync("ssh-agent", ["-a", agentPath], { encoding: "utf8" })) ?? [];
    execFileSync("ssh-add", ["-q", key], { env: { ...process.env, SSH_AUTH_SOCK: agentPath } });
    const command = 'ssh-add -l; stat -c "%u %a" "$SSH_AUTH_SOCK"';
    const { stdout } = await node.ssh(key, ["-A", "node1", command], "", { SSH_AUTH_SOCK: agentPath });
    process.kill(Number(pid));
    assert.match(stdout, /ED25519/);
    assert.match(stdout, new RegExp(`\n${node.account.uid} 600\n`));
  });
});

function listen(server: Server, port: number): Promise<number> {
  return new Promise((resolve) => server.listen(port, "127.0.0.1", () => resolve((server.address() as AddressInfo).port)));
}

/** Sends everything, ends, and reads to the end. */
async function exchange(socket: Duplex, sent: Buffer): Promise<Buffer> {
  const parts: Buffer[] = [];
  socket.on("data", (chunk) => parts.push(chunk));
  socket.end(sent);
  await once(socket, "end");
  return Buffer.concat(parts);
}

async function refuses(open: () => Socket): Promise<void> {
  await eventually(async () => {
    const socket = open();
    const isOpen = await once(socket, "connect").then(
      () => true,
      () => false,
    );
    socket.destroy();
    return !isOpen;
  });
}

function exists(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) !== undefined;
}
