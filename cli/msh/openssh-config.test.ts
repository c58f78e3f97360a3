import assert from "node:assert/strict";
import { execFile, execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { promisify } from "node:util";
import { isMezError } from "../../core/errors/error.js";
import { needsPeers } from "../../test/peers/require-peer.js";
import { formatSshConfig } from "./openssh-config.js";
import { type Profile, parseUserName } from "./profile.js";
import { proxyHostName } from "./proxy-host-name.js";

const PROFILE: Profile = {
  cluster: "dev",
  authServers: ["localhost:3025"],
  proxies: ["proxy.example.com:3023"],
  user: "alice",
  roles: ["access"],
  logins: ["deploy"],
  expiresAt: new Date("2026-01-02T00:00:00Z"),
  sessionExpiresAt: new Date("2026-01-02T00:00:00Z"),
};

const FILES = {
  identity: '/home/a b/100%/"x"/id_ed25519',
  certificate: "/home/a b/100%/id_ed25519-cert.pub",
  knownHosts: "/home/a b/100%/known_hosts",
  folder: null,
};

const PROXY = proxyHostName("dev");

const SSH = needsPeers("ssh");

for (const [what, name] of [
  ["a line break", "alice\n  ProxyCommand touch /tmp/owned"],
  ["a quote", 'alice" x'],
  ["a token", "alice%h"],
  ["nothing", ""],
  ["a character that erases", "alice\u0085"],
  ["a space of another width", "alice\u2003x"],
  ["no end", "a".repeat(200)],
] as const) {
  test(`a server cannot call a person by a name with ${what}`, () => {
    assert.throws(
      () => parseUserName(name),
      (error) => isMezError(error, "INVALID_DOCUMENT"),
    );
  });
}

for (const proxy of ["`touch`:3023", "$(touch`:22", "-oProxyCommand=x:22", '"a":22', "a;b:22"]) {
  test(`a server cannot name ${proxy} for a proxy`, () => {
    assert.throws(
      () => formatSshConfig({ ...PROFILE, proxies: [proxy] }, FILES, "everything"),
      (error) => isMezError(error, "INVALID_DOCUMENT"),
    );
  });
}

test("has ssh jump through the proxy when used with -F and without msh", SSH, (t) => {
  const options = readBySsh(t, formatSshConfig(PROFILE, FILES, "everything"), "web-01");
  assert.equal(options.get("proxyjump"), PROXY);
  assert.equal(options.get("identityfile"), FILES.identity.replaceAll("%", "%%"));
  assert.equal(options.get("certificatefile"), FILES.certificate.replaceAll("%", "%%"));
  assert.match(options.get("userknownhostsfile") ?? "", /\/home\/a b\/100%%?\/known_hosts/);
  assert.equal(options.get("stricthostkeychecking"), "true");
  assert.equal(options.get("identitiesonly"), "yes");
  assert.equal(options.get("preferredauthentications"), "publickey,keyboard-interactive");
});

for (const [what, folder, agentSocket, expected] of [
  ["", "/home/ab/.mezite/profiles/dev", null, "'/home/ab/.mezite/profiles/dev' '%h' %p"],
  [", from a folder with a difficult name", "/home/a b/100%h #1/dev", null, "'/home/a b/100%%h #1/dev' '%h' %p"],
  [", with keys of an agent", "/home/ab/dev", "/run/a b/%.sock", "'/home/ab/dev' '%h' %p '/run/a b/%%.sock'"],
] as const)
  test(`has msh reach the nodes${what}`, SSH, (t) => {
    const config = formatSshConfig(PROFILE, { ...FILES, folder }, "everything", agentSocket);
    const options = readBySsh(t, config, "web-01");
    assert.deepEqual([options.get("proxyjump"), options.get("proxyusefdpass")], [undefined, "yes"]);
    const command = options.get("proxycommand") ?? "";
    assert.ok(command.endsWith(`/cli/bin/msh' __connect ${expected}`), command);
    const jump = readBySsh(t, config, PROXY);
    assert.deepEqual([jump.get("proxycommand"), jump.get("proxyusefdpass")], [undefined, "no"]);
  });

for (const [what, folder, agentSocket] of [
  ["its folder", "/home/o'neil/dev", null],
  ["the agent's socket", "/home/oneil/dev", '/run/"agent"/a.sock'],
] as const)
  test(`leaves the way to ssh where ${what} cannot stand in a command`, SSH, (t) => {
    const options = readBySsh(t, formatSshConfig(PROFILE, { ...FILES, folder }, "everything", agentSocket), "web-01");
    assert.deepEqual([options.get("proxyjump"), options.get("proxycommand")], [PROXY, undefined]);
  });

test("gives no name to a shell that would read more than a name in it", SSH, async (t) => {
  const folder = "/home/ab/dev";
  for (const scope of ["everything", "cluster"] as const) {
    const config = formatSshConfig(PROFILE, { ...FILES, folder }, scope);
    for (const host of ["x'$(touch owned)'.dev", "'.dev", "a'b'.dev"]) {
      const text = await readMeanwhile(t, config, host).catch(() => new Map<string, string>()); // later versions of ssh refuse it
      assert.equal(text.get("proxycommand"), undefined, host);
    }
  }
});

test("a person may still jump, and have another command", SSH, (t) => {
  const config = formatSshConfig(PROFILE, { ...FILES, folder: "/home/ab/dev" }, "everything");
  const jumps = readBySsh(t, config, "web-01", ["-J", PROXY]);
  assert.deepEqual([jumps.get("proxyjump"), jumps.get("proxycommand")], [PROXY, undefined]);
  const own = readBySsh(t, config, "web-01", ["-o", "ProxyUseFdpass=no", "-o", "ProxyCommand=nc %h %p"]);
  assert.deepEqual([own.get("proxycommand"), own.get("proxyusefdpass")], ["nc %h %p", "no"]);
});

test("reaches the proxy itself directly, under its address", SSH, (t) => {
  const options = readBySsh(t, formatSshConfig(PROFILE, FILES, "everything"), PROXY);
  assert.equal(options.get("proxyjump"), undefined);
  assert.equal(options.get("hostname"), "proxy.example.com");
  assert.equal(options.get("port"), "3023");
  assert.equal(options.get("user"), "alice");
  assert.equal(options.get("stricthostkeychecking"), "true");
});

test("reaches a proxy that is known by an IPv6 address", SSH, (t) => {
  const options = readBySsh(t, formatSshConfig({ ...PROFILE, proxies: ["[::1]:4023"] }, FILES, "everything"), PROXY);
  assert.deepEqual([options.get("hostname"), options.get("port")], ["::1", "4023"]);
});

test("reaches the first of several proxies that answers", SSH, async (t) => {
  const ports = await Promise.all(
    ["220 mail.example.com ESMTP\r\n", "SSH-2.0-x\r\n", "SSH-2.0-y\r\n"].map((each) => listen(t, each)),
  );
  const [stranger, first, second] = ports.map((port) => `127.0.0.1:${port}`) as [string, string, string];
  for (const [proxies, scope, taken] of [
    [[stranger, "127.0.0.1:1", first, second], "everything", first],
    [[first, second, stranger], "cluster", first],
    [["[::1]:1", "127.0.0.1:2"], "everything", "127.0.0.1:2"],
  ] as const) {
    const options = await readMeanwhile(t, formatSshConfig({ ...PROFILE, proxies }, FILES, scope), PROXY);
    assert.equal(`${options.get("hostname")}:${options.get("port")}`, taken);
    assert.deepEqual([options.get("user"), options.get("proxyjump")], ["alice", undefined]);
  }
});

test("speaks of names in the cluster only when included, also before other hosts", SSH, (t) => {
  const config = `${formatSshConfig(PROFILE, FILES, "cluster")}User somebody\nHost github.com\n  User git\n`;
  const inside = readBySsh(t, config, "web-01.dev");
  assert.equal(inside.get("proxyjump"), PROXY);
  assert.equal(inside.get("certificatefile"), FILES.certificate.replaceAll("%", "%%"));
  assert.equal(readBySsh(t, config, PROXY).get("proxyjump"), undefined);
  const outside = readBySsh(t, config, "github.com");
  assert.equal(outside.get("proxyjump"), undefined);
  assert.equal(outside.get("certificatefile"), undefined);
  assert.equal(outside.get("user"), "somebody");
  assert.equal(readBySsh(t, config, "web-01").get("certificatefile"), undefined);
});

// --- internal ---

/** @returns The port of something that says this and no more. */
async function listen(t: TestContext, greeting: string): Promise<number> {
  const server = createServer((socket) => void socket.on("error", () => {}).end(greeting)).listen(0, "127.0.0.1");
  t.after(() => server.close());
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

/** What OpenSSH makes of a configuration for a host. */
function readBySsh(t: TestContext, config: string, host: string, flags: readonly string[] = []): ReadonlyMap<string, string> {
  return optionsIn(execFileSync("ssh", ["-G", "-F", writeConfig(t, config), ...flags, host], { encoding: "utf8" }));
}

/** The same, while this process goes on. */
async function readMeanwhile(t: TestContext, config: string, host: string): Promise<ReadonlyMap<string, string>> {
  const { stdout } = await promisify(execFile)("ssh", ["-G", "-F", writeConfig(t, config), host]);
  return optionsIn(stdout);
}

function writeConfig(t: TestContext, config: string): string {
  const folder = mkdtempSync(join(tmpdir(), "mezite-ssh-config-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, "config");
  writeFileSync(file, config);
  return file;
}

function optionsIn(text: string): ReadonlyMap<string, string> {
  const lines = text.trim().split("\n");
  return new Map(lines.map((line) => [line.slice(0, line.indexOf(" ")), line.slice(line.indexOf(" ") + 1)] as const));
}
