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
  groupReadable: undefined,
  healthAddr: undefined,
};
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
    group: null,
    healthAddress: null,
  });
});

for (const [text, message] of [
  ["destination-dir: /x\n", /--auth-server=<host:port> is missing/],
  ["auth-server: a:1\n", /--destination-dir=<folder> is missing/],
  [
    "auth-server: a:1\ndestination-dir: /x\nrenewal-intervall: 5m\n",
    /:3: unknown key "renewal-intervall"; did you mean "renewal-interval"/,
  ],
  ["auth-server: a:1\ndestination-dir: /x\ncert-ttl: 10m\n", /--renewal-interval of 20m must be shorter than --cert-ttl of 10m/],
  ["auth-server: a:1\ndestination-dir: /x\ncert-ttl: soon\n", /duration "soon" is not valid/],
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
