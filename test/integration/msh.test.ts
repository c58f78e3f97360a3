import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { pinOf } from "../../core/rpc/trust-pin.js";
import { testAuthority } from "../fixtures/tls.js";
import { needsPeers } from "../peers/require-peer.js";
import { type MshTestBed, mshTestBed } from "./msh-test-bed.js";

const LOGIN = ["login", "--user=alice", "--password-stdin"];

test("logs in, and keeps keys and certificates where only their owner can read them", needsPeers("ssh-keygen"), async (t) => {
  const bed = await mshTestBed(t);
  const { code, stdout } = await bed.run([...LOGIN, `--auth-server=${bed.address}`], { stdin: "right\n" });
  assert.equal(code, 0);
  assert.match(stdout, /User:\s+alice\n[\s\S]*Roles:\s+access\n[\s\S]*Logins:\s+deploy\n[\s\S]*Valid until:\s+\d{4}-/);
  const folder = join(bed.home, ".mezite/profiles/dev");
  for (const path of [join(bed.home, ".mezite"), folder]) assert.equal(statSync(path).mode & 0o777, 0o700, path);
  for (const name of readdirSync(folder)) assert.equal(statSync(join(folder, name)).mode & 0o777, 0o600, name);
  const described = execFileSync("ssh-keygen", ["-L", "-f", join(folder, "id_ed25519-cert.pub")], { encoding: "utf8" });
  assert.match(described, /Key ID: "alice"[\s\S]*deploy/);
  const derived = execFileSync("ssh-keygen", ["-y", "-f", join(folder, "id_ed25519")], { encoding: "utf8" });
  assert.equal(derived.split(" ")[1]?.trim(), readFileSync(join(folder, "id_ed25519.pub"), "utf8").split(" ")[1]);
  assert.match(readFileSync(join(folder, "known_hosts"), "utf8"), /^@cert-authority \* ssh-ed25519 /);
});

for (const [what, greeting] of [
  ["is not there", null],
  ["is silent", ""],
  ["speaks something else", "220 mail.example.com ESMTP\r\n"],
] as const) {
  test(`logs in, and works, through the second auth server when the first ${what}`, { timeout: 280_000 }, async (t) => {
    const bed = await mshTestBed(t);
    const [first, second] = [await strangeServer(t, greeting), bed.address];
    const { code, stdout, stderr } = await bed.run([...LOGIN, `--auth-server=${first},${second}`, "--proxy=p1,p2:22"], {
      stdin: "right\n",
    });
    assert.equal(code, 0, stderr);
    assert.match(stdout, new RegExp(`Auth service: +${first},${second}\n`));
    assert.match(stdout, /SSH proxy: +p1:3023,p2:22\n/);
    assert.equal((await bed.run(["status", "--auth-server", second])).code, 0);
    assert.equal((await bed.run(["status", "--auth-server", `${second},elsewhere`])).code, 3);
    assert.equal((await bed.run(["logout"])).stderr, "logged out alice from cluster dev\n");
    assert.deepEqual(bed.calls, ["authenticateLocal", "issueUserCerts", "getSession", "logout"]);
  });
}

test("sends nothing to a stranger that stands in for one of several auth servers", async (t) => {
  const [bed, stranger] = [await mshTestBed(t), await mshTestBed(t)];
  const pin = pinOf(bed.authority.certificatePem);
  const args = [...LOGIN, `--auth-server=${bed.address},${stranger.address}`, `--ca-pin=${pin}`];
  assert.equal((await bed.run(args, { stdin: "right\n" })).code, 0);
  await bed.stop();
  const { code, stderr } = await bed.run(args, { stdin: "right\n" });
  assert.equal(code, 4);
  assert.match(stderr, new RegExp(`the certificate of ${stranger.address} is not signed by the pinned CA`));
  assert.deepEqual(stranger.calls, []);
});

test("a wrong password changes nothing and says no more than that", async (t) => {
  const bed = await mshTestBed(t);
  const { code, stderr } = await bed.run([...LOGIN, `--auth-server=${bed.address}`], { stdin: "wrong\n" });
  assert.deepEqual([code, stderr], [3, "msh: invalid credentials\n"]);
  assert.equal(existsSync(join(bed.home, ".mezite")), false);
});

test("replaces a one-time password on the way in", async (t) => {
  const bed = await mshTestBed(t);
  bed.server.oneTime = true;
  const args = [...LOGIN, `--auth-server=${bed.address}`];
  const refused = await bed.run(args, { stdin: "right\n" });
  assert.equal(refused.code, 4);
  assert.match(
    refused.stderr,
    /one-time password; log in on a terminal, or give the new one with --new-password-stdin or MEZITE_NEW_PASSWORD/,
  );
  const { code } = await bed.run(args, { stdin: "right\n", env: { MEZITE_NEW_PASSWORD: "mine" } });
  assert.equal(code, 0);
  assert.equal(bed.server.password, "mine");
});

test("sends no password to a server that it does not trust", async (t) => {
  const bed = await mshTestBed(t);
  const pin = pinOf((await testAuthority()).certificatePem);
  const { code, stderr } = await bed.run([...LOGIN, `--auth-server=${bed.address}`, `--ca-pin=${pin}`], { stdin: "right\n" });
  assert.equal(code, 4);
  assert.match(stderr, /is not the one that is pinned/);
  assert.deepEqual(bed.calls, []);
});

test("remembers a pinned CA for the commands that follow", async (t) => {
  const bed = await mshTestBed(t);
  const elsewhere = { MEZITE_DATA_DIR: join(bed.home, "nothing") };
  const pin = pinOf(bed.authority.certificatePem);
  const first = await bed.run([...LOGIN, `--auth-server=${bed.address}`, `--ca-pin=${pin}`], {
    stdin: "right\n",
    env: elsewhere,
  });
  assert.equal(first.code, 0);
  assert.equal((await bed.run(["logout"], { env: elsewhere })).code, 0);
  assert.equal(bed.calls.at(-1), "logout");
});

test("refuses a cluster name that would lead out of the folder", async (t) => {
  const bed = await mshTestBed(t);
  bed.server.clusterName = "../../evil";
  const { code, stderr } = await bed.run([...LOGIN, `--auth-server=${bed.address}`], { stdin: "right\n" });
  assert.equal(code, 2);
  assert.match(stderr, /not a valid name/);
});

test("tells the status, and with exit code 3 that a login has expired", async (t) => {
  const bed = await loggedIn(await mshTestBed(t));
  const valid = await bed.run(["status", "--format=json"]);
  assert.equal(valid.code, 0);
  const { valid_until: _until, ...rest } = JSON.parse(valid.stdout) as Record<string, unknown>;
  assert.deepEqual(rest, {
    user: "alice",
    cluster: "dev",
    roles: ["access"],
    logins: ["deploy"],
    state: "valid",
    auth_server: bed.address,
    proxy: "localhost:4023",
  });
  const expired = await bed.run(["status"], { now: new Date(Date.now() + 7_200_000) });
  assert.equal(expired.code, 3);
  assert.match(expired.stderr, /the login expired 60 minutes ago; run "msh login"/);
});

for (const args of [
  ["ssh", "web-01"],
  ["scp", "a", "web-01:b"],
]) {
  test(`${args[0]} says in one line that the certificate has expired`, async (t) => {
    const bed = await loggedIn(await mshTestBed(t));
    const { code, stderr } = await bed.run(args, { now: new Date(Date.now() + 7_200_000) });
    assert.equal(code, 3);
    assert.match(stderr, /^msh: the certificate of alice for cluster dev expired 60 minutes ago; run "msh login"\n$/);
  });
}

test("ssh hands the words on to OpenSSH and its exit code back", async (t) => {
  const bed = await loggedIn(await mshTestBed(t));
  const env = withFakeClient(bed, "ssh", 42);
  const words = ["ssh", "-tt", "-L", "8080:localhost:80", "-N", "-o", "Compression=no", "web-01", "ls", "-h", "--", "x y"];
  const { code } = await bed.run(words, { env });
  assert.equal(code, 42);
  assert.deepEqual(calledWith(bed), [
    "-F",
    join(bed.home, ".mezite/profiles/dev/ssh_config"),
    "-L",
    "8080:localhost:80",
    "-N",
    "-t",
    "-t",
    "-o",
    "Compression=no",
    "-l",
    "deploy",
    "--",
    "web-01",
    "ls",
    "-h",
    "--",
    "x y",
  ]);
});

test("scp does the same", async (t) => {
  const bed = await loggedIn(await mshTestBed(t));
  const { code } = await bed.run(["scp", "-r", "logs", "root@web-01:/srv"], { env: withFakeClient(bed, "scp", 0) });
  assert.equal(code, 0);
  assert.deepEqual(calledWith(bed).slice(2), ["-r", "-o", "User=deploy", "--", "logs", "root@web-01:/srv"]);
});

for (const [words, message] of [
  [["ssh", "@web-01"], /"@web-01" is not a node; write node or login@node/],
  [["ssh", "root@-oProxyCommand=x"], /is not a node/],
  [["ssh", "-l", "root", "deploy@web-01"], /login deploy in "deploy@web-01" and --login=root differ/],
  [["scp", "one"], /needs a source and a destination/],
] as const) {
  test(`refuses msh ${words.join(" ")}`, async (t) => {
    const bed = await loggedIn(await mshTestBed(t));
    const { code, stderr } = await bed.run(words);
    assert.equal(code, 2);
    assert.match(stderr, message);
  });
}

test("asks as whom when several logins are possible, and says when there is none", async (t) => {
  const bed = await mshTestBed(t);
  bed.server.logins = ["app", "db"];
  await loggedIn(bed);
  const several = await bed.run(["ssh", "web-01"]);
  assert.equal(several.code, 2);
  assert.match(several.stderr, /as whom\? write app@web-01; your logins are app, db/);
  bed.server.logins = ["-mezite-no-login-1"];
  await loggedIn(bed);
  const none = await bed.run(["ssh", "web-01"]);
  assert.equal(none.code, 4);
  assert.match(none.stderr, /no role of alice allows a login/);
});

test("says when OpenSSH is not installed", async (t) => {
  const bed = await loggedIn(await mshTestBed(t));
  const { code, stderr } = await bed.run(["ssh", "web-01"], { env: { PATH: join(bed.home, "nothing") } });
  assert.equal(code, 9);
  assert.match(stderr, /ssh is not installed; install the OpenSSH client/);
});

test("logs out on the server and removes the keys", async (t) => {
  const bed = await loggedIn(await mshTestBed(t));
  const { code } = await bed.run(["logout"]);
  assert.equal(code, 0);
  assert.equal(bed.calls.at(-1), "logout");
  assert.equal(existsSync(join(bed.home, ".mezite/profiles/dev")), false);
  assert.equal((await bed.run(["status"])).code, 3);
});

test("removes the keys also when the server is out of reach, and says what is left there", async (t) => {
  const bed = await loggedIn(await mshTestBed(t));
  await bed.stop();
  const { code, stderr } = await bed.run(["logout"]);
  assert.equal(code, 0);
  assert.match(stderr, /could not be ended on the server/);
  assert.equal(existsSync(join(bed.home, ".mezite/profiles/dev")), false);
});

test("writes an identity for scripts and leaves the login alone", async (t) => {
  const bed = await mshTestBed(t);
  const out = join(bed.home, "bot/");
  const args = [...LOGIN, `--auth-server=${bed.address}`, `--out=${out}`];
  assert.equal((await bed.run(args, { stdin: "right\n" })).code, 0);
  assert.deepEqual(readdirSync(out).sort(), ["id_ed25519", "id_ed25519-cert.pub", "known_hosts", "ssh_config"]);
  for (const name of readdirSync(out)) assert.equal(statSync(join(out, name)).mode & 0o777, 0o600);
  assert.equal((await bed.run(["status"])).code, 3);
});

test("says which login is missing when another address is given", async (t) => {
  const bed = await loggedIn(await mshTestBed(t));
  const { code, stderr } = await bed.run(["config", "--auth-server=elsewhere.example.com"]);
  assert.equal(code, 3);
  assert.match(stderr, /not logged in at elsewhere\.example\.com/);
});

test("plays a recording without its pauses when nobody watches", async (t) => {
  const bed = await mshTestBed(t);
  const file = join(bed.home, "session.cast");
  writeFileSync(
    file,
    '{"version":2,"width":80,"height":24}\n[0.5,"o","one\\r\\n"]\n[3600,"i","x"]\n[7200,"o","two\\r\\n"]\n[7201,"o","cut o',
  );
  const { code, stdout } = await bed.run(["play", file]);
  assert.deepEqual([code, stdout], [0, "one\r\ntwo\r\n"]);
});

for (const [what, content, message] of [
  ["another kind of file", "hello\n", /is not an asciicast of version 2/],
  ["an empty file", "", /is empty/],
  ["a damaged line", '{"version":2,"width":80,"height":24}\n[1,"o"]\n', /session\.cast:2: not an event/],
] as const) {
  test(`does not play ${what}`, async (t) => {
    const bed = await mshTestBed(t);
    const file = join(bed.home, "session.cast");
    writeFileSync(file, content);
    const { code, stderr } = await bed.run(["play", file]);
    assert.equal(code, 2);
    assert.match(stderr, message);
  });
}

for (const speed of ["0", "-1", "fast", "1e9"]) {
  test(`refuses to play at speed ${speed}`, async (t) => {
    const bed = await mshTestBed(t);
    assert.equal((await bed.run(["play", "x", `--speed=${speed}`])).code, 2);
  });
}

// --- internal ---

/** Something at a port that is no auth server. @param greeting `null` for nothing at all, empty for one that says nothing. */
async function strangeServer(t: TestContext, greeting: string | null): Promise<string> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket.on("error", () => {}));
    if (greeting !== null && greeting !== "") socket.write(greeting);
  }).listen(0, "localhost");
  await once(server, "listening");
  const address = `localhost:${(server.address() as AddressInfo).port}`;
  const close = (): void => {
    for (const socket of sockets) socket.destroy();
    server.close();
  };
  if (greeting === null) close();
  else t.after(close);
  return address;
}

async function loggedIn(bed: MshTestBed): Promise<MshTestBed> {
  const { code, stderr } = await bed.run([...LOGIN, `--auth-server=${bed.address}`], { stdin: "right\n" });
  assert.equal(code, 0, stderr);
  return bed;
}

/** Puts a program in front of the real one that writes down its arguments. */
function withFakeClient(bed: MshTestBed, name: string, exitCode: number): Record<string, string> {
  const folder = join(bed.home, "bin");
  mkdirSync(folder);
  writeFileSync(join(folder, name), `#!/bin/sh\nprintf '%s\\n' "$@" > '${join(bed.home, "called")}'\nexit ${exitCode}\n`);
  chmodSync(join(folder, name), 0o755);
  return { PATH: `${folder}:${process.env.PATH ?? ""}` };
}

function calledWith(bed: MshTestBed): readonly string[] {
  return readFileSync(join(bed.home, "called"), "utf8").trimEnd().split("\n");
}
