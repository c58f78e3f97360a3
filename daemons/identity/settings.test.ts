import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { isMezError } from "../../core/errors/error.js";
import { type IdentityInput, readIdentitySettings } from "./settings.js";

const NOTHING: IdentityInput = {
  authServer: undefined,
  token: undefined,
  tokenFile: undefined,
  destinationDir: undefined,
  certTtl: undefined,
  renewalInterval: undefined,
  oneShot: false,
  proxy: undefined,
  groupReadable: undefined,
  healthAddr: undefined,
  workloadSocket: undefined,
  workloadSocketMode: undefined,
};
const GOOD = "auth-server: a:1\ndestination-dir: /x\n";
const folder = mkdtempSync(join(tmpdir(), "mezite-settings-"));
const token = join(folder, "token");
writeFileSync(token, `${"ab".repeat(32)}\n`, { mode: 0o600 });
after(() => rmSync(folder, { recursive: true }));

test("takes the keys of a file, the command line over it, and the defaults below", async () => {
  const file = write(`auth-server: auth.example.com:3025\ndestination-dir: /x\ntoken-file: ${token}\ncert-ttl: 2h\n`);
  const settings = await readIdentitySettings({ ...NOTHING, destinationDir: "/y" }, file, {});
  const { token: secret, ...rest } = settings;
  assert.equal(secret?.expose(), "ab".repeat(32));
  assert.deepEqual(rest, {
    authServers: ["auth.example.com:3025"],
    destination: "/y",
    certTtlSeconds: 7200,
    renewalIntervalSeconds: 1200,
    oneShot: false,
    sshProxies: [],
    group: null,
    healthAddress: null,
    workloadSocket: null,
  });
});

for (const [text, path] of [
  ["/run/mezite/workload.sock", "/run/mezite/workload.sock"],
  ["unix:///run/mezite/workload.sock", "/run/mezite/workload.sock"],
  ["unix:/run/mezite/workload.sock", "/run/mezite/workload.sock"],
] as const) {
  test(`takes ${text} for the socket of the Workload API`, async () => {
    const { workloadSocket } = await readIdentitySettings({ ...NOTHING, workloadSocket: text }, write(GOOD), {});
    assert.deepEqual(workloadSocket, { path, mode: 0o666 });
  });
}

for (const [text, host, port] of [
  ["proxy.example.com", "proxy.example.com", 3023],
  ["proxy.example.com:443", "proxy.example.com", 443],
  ["[2001:db8::7]:3023", "2001:db8::7", 3023],
] as const) {
  test(`takes ${text} for the SSH proxy`, async () => {
    const { sshProxies } = await readIdentitySettings({ ...NOTHING, proxy: [text] }, write(GOOD), {});
    assert.deepEqual(sshProxies, [{ host, port }]);
  });
}

for (const [how, proxy, file] of [
  ["of the command line", ["a.example.com", "b.example.com:443"], GOOD],
  ["of the file", undefined, `${GOOD}proxy: [a.example.com, "b.example.com:443"]\n`],
] as const) {
  test(`takes several SSH proxies ${how}, in their order`, async () => {
    const { sshProxies } = await readIdentitySettings({ ...NOTHING, proxy }, write(file), {});
    assert.deepEqual(sshProxies, [
      { host: "a.example.com", port: 3023 },
      { host: "b.example.com", port: 443 },
    ]);
  });
}

for (const [text, message] of [
  [`${GOOD}proxy: a:b\n`, /address "a:b" is not valid/],
  [`${GOOD}proxy: "-oProxyCommand=x"\n`, /--proxy -oProxyCommand=x is not valid; write proxy\.example\.com:3023/],
  ["destination-dir: /x\n", /--auth-server=<host:port> is missing/],
  ["auth-server: a:1\n", /--destination-dir=<folder> is missing/],
  [
    "auth-server: a:1\ndestination-dir: /x\nrenewal-intervall: 5m\n",
    /:3: unknown key "renewal-intervall"; did you mean "renewal-interval"/,
  ],
  ["auth-server: a:1\ndestination-dir: /x\ncert-ttl: 10m\n", /--renewal-interval of 20m must be shorter than --cert-ttl of 10m/],
  ["auth-server: a:1\ndestination-dir: /x\ncert-ttl: soon\n", /duration "soon" is not valid/],
  [`${GOOD}workload-socket: run/w.sock\n`, /--workload-socket run\/w\.sock is not the absolute path of a socket/],
  [`${GOOD}workload-socket: unix://host/w.sock\n`, /is not the absolute path of a socket/],
  [`${GOOD}workload-socket: /${"x".repeat(110)}\n`, /--workload-socket has 111 bytes; a socket's path has 107 at most/],
  [`${GOOD}workload-socket: /run/w\nworkload-socket-mode: rw\n`, /--workload-socket-mode rw is not a mode like 0666 or 0660/],
  [`${GOOD}workload-socket: /run/w\nworkload-socket-mode: 666\n`, /:4: .*in quotes/],
  [`${GOOD}workload-socket-mode: "0600"\n`, /--workload-socket-mode is given without --workload-socket/],
  [`${GOOD}one-shot: true\nworkload-socket: /run/w\n`, /--workload-socket and --one-shot do not go together/],
  ["auth-server: nowhere\ndestination-dir: /x\n", /nowhere/],
  [`auth-server: a:1\ndestination-dir: /x\ntoken-file: ${folder}/absent\n`, /cannot read .*absent: no such file or directory/],
] as const) {
  test(`refuses ${JSON.stringify(text)}`, async () => {
    await assert.rejects(readIdentitySettings(NOTHING, write(text), {}), (error) => {
      assert.ok(isMezError(error));
      assert.equal(error.kind, "usage");
      assert.match(error.message, message);
      return true;
    });
  });
}

// --- internal ---

function write(text: string): string {
  const file = join(folder, "identity.yaml");
  writeFileSync(file, text);
  return file;
}
