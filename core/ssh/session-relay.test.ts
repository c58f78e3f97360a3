import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { type AddressInfo, connect, createServer } from "node:net";
import { after, before, beforeEach, describe, test } from "node:test";
import { ssh, TestAuthority, TestServer } from "../../test/fixtures/ssh/test-server.js";
import { Sshd } from "../../test/fixtures/sshd.js";
import { needsPeers } from "../../test/peers/require-peer.js";
import { dialSsh } from "./client.js";
import { generateSshKeyPair } from "./private-key.js";
import type { RelayEnd } from "./relay-end.js";
import type { ProgramDecision, RelayedProgram, RelayRules } from "./relay-rules.js";
import { SessionRelay } from "./session-relay.js";

describe("a connection that is passed on to OpenSSH's server", needsPeers("ssh", "sshd", "ssh-keygen"), () => {
  let authority: TestAuthority;
  let sshd: Sshd;
  let proxy: TestServer;
  let port: number;
  let key: string;
  let shown: Buffer[];
  let programs: RelayedProgram[];
  let forwards: string[];
  let decide: (program: RelayedProgram) => ProgramDecision | Promise<ProgramDecision>;
  let allowed: { terminal: boolean; forwarding: boolean; agentForwarding: boolean };
  let witnesses = 0;

  before(async () => {
    authority = new TestAuthority();
    sshd = await Sshd.start(readFileSync(authority.path("user_ca.pub"), "utf8"));
    key = authority.clientKey("alice", "ed25519");
    proxy = new TestServer(authority, { onConnection: (connection) => void relay(connection.handOver()) });
    port = await proxy.listen();
  });
  after(async () => {
    await proxy.close();
    await sshd.stop();
    authority.remove();
  });
  beforeEach(() => {
    [shown, programs, forwards] = [[], [], []];
    allowed = { terminal: true, forwarding: true, agentForwarding: true };
    decide = () => ({ witness: witness() });
  });

  const witness = () => {
    witnesses += 1;
    return {
      output: (bytes: Buffer) => void shown.push(Buffer.from(bytes)),
      resize: () => {},
      close: () => {
        witnesses -= 1;
      },
    };
  };

  async function relay(client: RelayEnd): Promise<void> {
    const nodeKey = generateSshKeyPair();
    const certificateBlob = authority.issue("user", nodeKey.publicKeyBlob, {
      principals: [sshd.login],
      extensions: { "permit-pty": "", "permit-port-forwarding": "", "permit-agent-forwarding": "" },
    });
    const rules: RelayRules = {
      ...allowed,
      start: (program) => {
        programs.push(program);
        return decide(program);
      },
      forwards: (direction, target) => void forwards.push(`${direction} ${target}`),
    };
    let node: RelayEnd | null = null;
    const connection = await dialSsh(
      {
        to: { host: "127.0.0.1", port: sshd.port },
        hostTrust: { pinnedKeys: [sshd.hostKeyBlob] },
        onReady: (ready) => (node = ready.handOver()),
      },
      Promise.resolve({ user: sshd.login, key: nodeKey, certificateBlob }),
    );
    if (node === null) return;
    const session = new SessionRelay(client, node, rules);
    void connection.closed.then(() => session.close());
    const check = setInterval(() => {
      if (client.isOver) connection.close();
      if (client.isOver || (node as unknown as RelayEnd).isOver) clearInterval(check);
    }, 20);
  }

  const run = (command: string, flags: readonly string[] = [], input = "") =>
    ssh(authority, port, key, [...flags, "127.0.0.1", ...(command === "" ? [] : [command])], input);

  const client = (args: readonly string[]) =>
    spawn("ssh", [
      "-F",
      "none",
      "-i",
      key,
      "-p",
      String(port),
      "-l",
      "alice",
      "-o",
      "BatchMode=yes",
      "-o",
      "StrictHostKeyChecking=yes",
      "-o",
      `UserKnownHostsFile=${authority.path("known_hosts")}`,
      ...args,
    ]);

  test("passes a command, its output, errors and exit status", async () => {
    assert.deepEqual(await run("cat; echo oops >&2; exit 7", [], "words"), { code: 7, stdout: "words", stderr: "oops\n" });
    assert.equal(Buffer.concat(shown).toString().replace("oops\n", ""), "words");
    assert.deepEqual(
      programs.map(({ kind, command, channel }) => [kind, command, channel]),
      [["exec", "cat; echo oops >&2; exit 7", 0]],
    );
    assert.equal(witnesses, 0);
  });

  test("passes the signal that ended a program", async () => {
    const { code, stderr } = await run("kill -TERM $$", ["-v"]);
    assert.equal(code, 255);
    assert.match(stderr, /exit-signal/);
  });

  test("passes a terminal with its size and type", async () => {
    const { stdout } = await run("stty size; echo $TERM; tty", ["-tt"]);
    assert.match(stdout, /^\d+ \d+\r\n\S+\r\n\/dev\/pts\/\d+\r\n$/);
    assert.notEqual(programs[0]?.terminal, null);
  });

  test("refuses a terminal that the rules do not allow", async () => {
    allowed.terminal = false;
    const { stderr } = await run("tty", ["-tt"]);
    assert.match(stderr, /PTY allocation request failed/);
  });

  test("refuses a program with a line and exit status 1, and goes on with the next", async () => {
    decide = ({ command }) => (command === "no" ? { refused: "not today" } : { witness: null });
    assert.deepEqual(await run("no", [], "x".repeat(100_000)), { code: 1, stdout: "", stderr: "mezite: not today\r\n" });
    assert.equal((await run("echo yes")).stdout, "yes\n");
  });

  test("keeps what the client sends while it is decided about the program", async () => {
    decide = () => new Promise((resolve) => setTimeout(() => resolve({ witness: null }), 200));
    const input = randomBytes(3_000_000).toString("base64");
    assert.equal((await run("sha256sum", [], input)).stdout.slice(0, 64), createHash("sha256").update(input).digest("hex"));
  });

  test("shows the person lines in the middle of a program", async () => {
    let program: RelayedProgram | undefined;
    decide = (started) => {
      program = started;
      setTimeout(() => started.tell("no longer recorded"), 100);
      return { witness: null };
    };
    const { stdout, stderr } = await run("sleep 0.3; head -c 8000000 /dev/zero | wc -c");
    assert.deepEqual([stdout, stderr], ["8000000\n", "mezite: no longer recorded\r\n"]);
    program?.tell("too late");
  });

  test("moves 64 MiB each way without a byte lost while keys change", async () => {
    const rekey = ["-o", "RekeyLimit=3M"];
    const [down, up] = [
      await run("head -c 67108864 /dev/zero | tr '\\0' x", rekey),
      await run("wc -c", rekey, "y".repeat(67_108_864)),
    ];
    assert.equal(down.stdout.length, 67_108_864);
    assert.equal(up.stdout, "67108864\n");
  });

  test("forwards a local and a remote port, and says so", async () => {
    const echo = createServer({ allowHalfOpen: true }, (socket) => socket.pipe(socket)).listen(0, "127.0.0.1");
    await new Promise((resolve) => echo.once("listening", resolve));
    const target = (echo.address() as AddressInfo).port;
    const { stdout } = await run("sleep 0.2; echo ok", ["-R", `0:127.0.0.1:${target}`]);
    assert.equal(stdout, "ok\n");
    assert.match(forwards.join(), /^remote \d+$/);
    const child = client(["-W", `127.0.0.1:${target}`, "127.0.0.1"]);
    child.stdin.end("there and back");
    let back = "";
    for await (const chunk of child.stdout) back += String(chunk);
    assert.equal(back, "there and back");
    assert.equal(forwards.at(-1), `local 127.0.0.1:${target}`);
    echo.close();
  });

  test("refuses forwarding that the rules do not allow", async () => {
    allowed.forwarding = false;
    const { code, stderr } = await run("true", ["-o", "ExitOnForwardFailure=yes", "-R", "0:127.0.0.1:1"]);
    assert.equal(code, 255);
    assert.match(stderr, /remote port forwarding failed/);
    assert.match((await run("", ["-W", "127.0.0.1:1"])).stderr, /port forwarding is not allowed/);
    assert.deepEqual(forwards, []);
  });

  test("stops reading from the node when the client reads no more", async () => {
    const child = client(["127.0.0.1", "cat /dev/zero"]);
    await new Promise((resolve) => child.stdout.once("readable", resolve));
    await new Promise((resolve) => setTimeout(resolve, 500));
    const before = process.memoryUsage().rss;
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    assert.ok(process.memoryUsage().rss - before < 64 * 2 ** 20);
    child.kill("SIGKILL");
    await new Promise((resolve) => child.once("close", resolve));
  });

  test("a client that goes away ends the connection to the node", async () => {
    const socket = connect(port, "127.0.0.1");
    await new Promise((resolve) => socket.once("data", resolve));
    socket.destroy();
    assert.equal((await run("echo still here")).stdout, "still here\n");
  });
});
