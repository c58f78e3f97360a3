import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import type { Socket } from "node:net";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { after, before, test } from "node:test";
import { type Answer, DirectBed } from "../../../test/fixtures/direct-bed.js";
import { eventually } from "../../../test/fixtures/eventually.js";
import { type TestAuthority, testAuthority } from "../../../test/fixtures/tls.js";
import { needsPeers, requirePeer } from "../../../test/peers/require-peer.js";

const GO: Answer = { verdict: "go", message: "" };

let bed: DirectBed;
let stranger: TestAuthority;
before(async () => {
  bed = await DirectBed.start();
  stranger = await testAuthority("Somebody Else");
});
after(() => bed.close());

test("gives ssh a connection that the proxy has joined to the node, and nothing is lost on it", async () => {
  const folder = bed.logIn([await bed.proxy(GO)]);
  const { code, stderr, socket } = await bed.connect([folder, "web-01", "22"]);
  assert.deepEqual([code, stderr], [0, ""]);
  assert.equal(bed.requests.at(-1), "alice web-01 22");
  assert.equal(await said(socket), "greetings\nSSH-2.0-client\r\n");
});

for (const [what, serve, expected] of [
  [
    "refuses",
    () => bed.proxy({ verdict: "refused", message: "access to node web-01 denied: no role allows it" }),
    [4, /^msh: access to node web-01 denied: no role allows it\n$/],
  ],
  ["refuses without a word", () => bed.proxy({ verdict: "refused", message: "" }), [4, /^msh: the proxy refuses the session\n$/]],
  [
    "is a stranger that calls itself a proxy",
    () => bed.proxy(GO, "proxy", stranger),
    [
      4,
      /^msh: the server at 127.0.0.1:\d+ is not a proxy of cluster dev: its certificate is not signed by the Host CA [^\n]*\n$/,
    ],
  ],
  [
    "is a stranger that shows its certificate and none of the one who signed it",
    () =>
      bed.proxy(GO, "proxy", { ...stranger, issue: async (...leaf) => ({ ...(await stranger.issue(...leaf)), trustPem: [] }) }),
    [
      4,
      /^msh: the server at 127.0.0.1:\d+ is not a proxy of cluster dev: its certificate is not signed by the Host CA [^\n]*\n$/,
    ],
  ],
  [
    "is a node of the cluster",
    () => bed.proxy(GO, "node"),
    [4, /^msh: the server at 127.0.0.1:\d+ shows a certificate of the cluster that is not a proxy's\n$/],
  ],
  ["is not there", async () => "127.0.0.1:1", [7, /^msh: the proxy at 127.0.0.1:1 cannot be reached: connection refused\n$/]],
  [
    "hangs up",
    () => bed.listen((tcp) => void tcp.end()),
    [7, /^msh: the proxy at 127.0.0.1:\d+ cannot be reached: [^\n]*closed[^\n]*\n$/],
  ],
] as const)
  test(`says so in one line, and runs nothing else, when the proxy ${what}`, async () => {
    const folder = bed.logIn([await serve()]);
    writeFakeSsh(folder);
    const { code, stderr, socket } = await bed.connect([folder, "web-01", "22"], { PATH: `${folder}:${process.env["PATH"]}` });
    assert.deepEqual([code, socket], [expected[0], null]);
    assert.match(stderr, expected[1]);
  });

for (const [what, serve] of [
  ["asks to come by SSH", () => bed.proxy({ verdict: "jump", message: "" })],
  ["is one from before, which speaks SSH at once", () => bed.listen((tcp) => void tcp.write("SSH-2.0-mezite\r\n"))],
  ["speaks TLS and nothing of this", () => bed.listen((tcp) => void tcp.end(Buffer.from([21, 3, 3, 0, 2, 2, 120])))],
  ["speaks something else", () => bed.listen((tcp) => void tcp.end("HTTP/1.1 400 Bad Request\r\n\r\n"))],
] as const)
  test(`has another ssh jump, which serves the connection and outlives it, when the proxy ${what}`, async () => {
    const folder = bed.logIn([await serve()]);
    writeFakeSsh(folder);
    const { code, stderr, socket } = await bed.connect([folder, "web-01", "2222"], { PATH: `${folder}:${process.env["PATH"]}` });
    assert.deepEqual([code, stderr], [0, ""]);
    assert.equal(await said(socket), `-F ${join(folder, "ssh_config")} -W [web-01]:2222 -- mezite-proxy.dev\nSSH-2.0-client\r\n`);
  });

test("has ssh jump with the CAs that the person has set, which are not this program's", async () => {
  const folder = bed.logIn([await bed.proxy({ verdict: "jump", message: "" })]);
  writeFakeSsh(folder, '"$SSL_CERT_FILE, $SSL_CERT_DIR, $NODE_EXTRA_CA_CERTS"');
  const cas = { SSL_CERT_FILE: "/etc/own ca.pem", SSL_CERT_DIR: "/etc/own", NODE_EXTRA_CA_CERTS: "/etc/missing.pem" };
  const { socket, stderr } = await bed.connect([folder, "web-01", "22"], { PATH: `${folder}:${process.env["PATH"]}`, ...cas });
  assert.equal(stderr, ""); // Node says which of them it cannot read
  assert.equal(await said(socket), "/etc/own ca.pem, /etc/own, /etc/missing.pem\nSSH-2.0-client\r\n");
});

test("has an agent sign, and another ssh jump when the agent has no such key", needsPeers("ssh-agent", "ssh-add"), async (t) => {
  const folder = bed.logIn([await bed.proxy(GO)], { expiresAt: new Date(0) }); // an agent knows a later certificate
  writeFakeSsh(folder);
  const socket = join(folder, "a %.sock");
  const agent = spawn(requirePeer("ssh-agent"), ["-D", "-a", socket], { stdio: "ignore" });
  t.after(() => agent.kill());
  await eventually(() => existsSync(socket));
  const env = { SSH_AUTH_SOCK: socket, PATH: `${folder}:${process.env["PATH"]}` };
  const without = await bed.connect([folder, "web-01", "22", socket], env);
  const [words = ""] = (await said(without.socket)).split("\n");
  assert.ok(words.includes(`-o IdentityAgent="${socket.replaceAll("%", "%%")}" -o IdentitiesOnly=no -W`), words);
  assert.equal(spawnSync(requirePeer("ssh-add"), [join(folder, "id_ed25519")], { env: { ...process.env, ...env } }).status, 0);
  const { code, stderr, socket: connection } = await bed.connect([folder, "web-01", "22", socket], env);
  assert.deepEqual([code, stderr], [0, ""]);
  assert.equal(await said(connection), "greetings\nSSH-2.0-client\r\n");
});

test("has another ssh jump with a key that only ssh can use", async () => {
  const folder = bed.logIn([await bed.proxy(GO)]);
  writeFakeSsh(folder);
  rmSync(join(folder, "id_ed25519"));
  const { socket } = await bed.connect([folder, "web-01", "22"], { PATH: `${folder}:${process.env["PATH"]}` });
  assert.match(await said(socket), /^-F .*mezite-proxy\.dev/);
});

test("names the agent to the other ssh as that reads it, when the agent has no key of the login", async () => {
  const folder = bed.logIn([await bed.proxy(GO)]);
  writeFakeSsh(folder);
  const { socket } = await bed.connect([folder, "web-01", "22", "/a b%/agent"], { PATH: `${folder}:${process.env["PATH"]}` });
  assert.match(await said(socket), / -o IdentityAgent="\/a b%%\/agent" -o IdentitiesOnly=no /);
});

test("says that ssh is missing when only that could go on", async () => {
  const folder = bed.logIn([await bed.proxy({ verdict: "jump", message: "" })]);
  mkdirSync(join(folder, "bin"), { recursive: true });
  for (const program of ["sh", "uname", "node"]) {
    const { stdout } = spawnSync("which", [program], { encoding: "utf8" });
    writeFileSync(join(folder, "bin", program), `#!/bin/sh\nexec ${stdout.trim()} "$@"\n`, { mode: 0o755 });
  }
  const { code, stderr } = await bed.connect([folder, "web-01", "22"], { PATH: join(folder, "bin") });
  assert.deepEqual(
    [code, stderr],
    [9, "msh: ssh cannot be started: no such file or directory\nmsh: hint: install the OpenSSH client\n"],
  );
});

test("takes the next proxy when the first is down, silent or hangs, and remembers it", async () => {
  const silent = await bed.listen(() => undefined);
  const good = await bed.proxy(GO);
  for (const proxies of [
    ["127.0.0.1:1", good],
    [silent, good],
    [silent, "127.0.0.1:1", good],
  ]) {
    const { code, stderr, socket } = await bed.connect([bed.logIn(proxies), "web-01", "22"]);
    assert.deepEqual([code, stderr], [0, ""]);
    assert.equal(await said(socket), "greetings\nSSH-2.0-client\r\n");
  }
});

test("says of each of several proxies why it cannot be reached", async () => {
  const { code, stderr } = await bed.connect([bed.logIn(["127.0.0.1:1", "[::1]:1"]), "web-01", "22"]);
  assert.equal(code, 7);
  assert.match(
    stderr,
    /^msh: the proxy at 127\.0\.0\.1:1 cannot be reached: .*; the proxy at \[::1\]:1 cannot be reached: .*\n$/,
  );
});

test("has what it trusts refreshed in the background when a proxy says that it is old, and only then", async () => {
  const folder = bed.logIn([await bed.proxy(GO)]);
  const mark = join(folder, "trust-refreshed");
  await opens(folder);
  assert.equal(existsSync(mark), false);
  bed.logIn([await bed.proxy({ ...GO, trust: "outdated" })]);
  await Promise.all([opens(folder), opens(folder)]);
  assert.equal(existsSync(mark), true);
  rmSync(mark);
});

for (const verdict of ["go", "refused"] as const)
  test(`a session that is ${verdict} does not depend on whether trust can be refreshed`, async () => {
    const folder = bed.logIn([await bed.proxy({ verdict, trust: "unusable", message: "" })]);
    const mark = join(folder, "trust-refreshed");
    mkdirSync(join(mark, "in the way"), { recursive: true });
    const { code } = await bed.connect([folder, "web-01", "22"]);
    assert.equal(code, verdict === "go" ? 0 : 4);
    rmSync(mark, { recursive: true });
  });

test("tells who is not logged in any more what to do", async () => {
  const address = await bed.proxy(GO);
  const expired = bed.logIn([address], { expiresAt: new Date(Date.now() - 90_000) });
  const late = await bed.connect([expired, "web-01", "22"]);
  assert.equal(late.code, 3);
  assert.match(late.stderr, /^msh: the certificate of alice for cluster dev expired \d+ seconds ago; run "msh login"\n$/);
  const missing = await bed.connect([join(expired, "missing"), "web-01", "22"]);
  assert.deepEqual([missing.code, missing.stderr], [3, 'msh: you are not logged in; run "msh login"\n']);
  writeFileSync(join(expired, "profile.json"), "{");
  const damaged = await bed.connect([expired, "web-01", "22"]);
  assert.match(damaged.stderr, /profile\.json is damaged; log in again/);
});

test("a name of a node that looks like something else is only a name", async () => {
  const folder = bed.logIn([await bed.proxy(GO)]);
  for (const name of ["-oProxyCommand=x", "$(touch x)", "a b", "ünïcode", "::1"]) {
    const { code } = await bed.connect([folder, name, "22"]);
    assert.equal(code, 0, name);
    assert.equal(bed.requests.at(-1), `alice ${name} 22`);
  }
});

test("ends when the one who waits for it goes away", async () => {
  const accepted = Promise.withResolvers<Socket>();
  const folder = bed.logIn([await bed.listen((tcp) => accepted.resolve(tcp))]);
  const child: ChildProcess = bed.begin([folder, "web-01", "22"]);
  const tcp = await accepted.promise;
  const closed = once(tcp.resume(), "close");
  child.kill("SIGINT");
  const [code, signal] = await once(child, "exit");
  assert.deepEqual([code, signal], [null, "SIGINT"]);
  await closed;
});

test("somebody who runs it is told what it is for", () => {
  const { stderr } = spawnSync("/bin/sh", ["-c", `'${DirectBed.launcher}' __connect /nowhere web-01 22 | cat`], {
    encoding: "utf8",
  });
  assert.equal(stderr, "msh: this is for ssh to run as ProxyCommand, with ProxyUseFdpass=yes\n");
});

test("a connection goes to standard output alone, whatever channel the environment names", async () => {
  const folder = bed.logIn([await bed.proxy(GO)]);
  const asked = bed.requests.length;
  const child = spawn("/bin/sh", ["-c", `'${DirectBed.launcher}' __connect '${folder}' web-01 22 | cat`], {
    stdio: ["ignore", "ignore", "pipe", "ipc"], // as below a program that was forked by Node
  });
  let received = 0;
  child.on("message", () => {
    received += 1;
  });
  assert.match(String(await once(child.stderr as Readable, "data")), /this is for ssh to run/);
  await once(child, "close");
  assert.deepEqual([received, bed.requests.length], [0, asked]);
});

// --- internal ---

async function opens(folder: string): Promise<void> {
  const { code, stderr, socket } = await bed.connect([folder, "web-01", "22"]);
  assert.deepEqual([code, stderr], [0, ""]);
  assert.equal(await said(socket), "greetings\nSSH-2.0-client\r\n");
}

/** Stands in for ssh: says what it was called with, and repeats what it hears. */
/** @param words What it says first, in shell. */
function writeFakeSsh(folder: string, words = '"$@"'): void {
  writeFileSync(join(folder, "ssh"), `#!/bin/sh\nsleep 0.3\necho ${words}\nexec cat\n`);
  chmodSync(join(folder, "ssh"), 0o755);
}

async function said(socket: Socket | null): Promise<string> {
  assert.ok(socket);
  socket.end("SSH-2.0-client\r\n");
  socket.setEncoding("utf8");
  return (await socket.toArray()).join("");
}
