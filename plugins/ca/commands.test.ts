import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import { isMezError } from "../../core/errors/error.js";
import type { Column, CommandContext } from "../../core/plugin/commands.js";
import type { RpcClient } from "../../core/plugin/rpc.js";
import { publicKeyOf } from "../../core/ssh/public-key.js";
import { AuthorityType, type CaServiceService, type ExportRequest, KeyState } from "../../proto/gen/mezite/ca/v1/ca.js";
import type { AuthorityType as AuthorityTypeName } from "./api.js";
import { type ExportForm, exportAuthority } from "./export-command.js";
import { showStatus } from "./status-command.js";
import { trustLines } from "./trust-lines.js";

const SSH_KEY = publicKeyOf(generateKeyPairSync("ed25519").publicKey).blob.toString("base64");
const PEM = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";

test("exports the User CA as TrustedUserCAKeys wants it", async () => {
  assert.equal(await exported("user", "openssh"), `ssh-ed25519 ${SSH_KEY} prod user CA\n`);
});

test("exports the Host CA as known_hosts wants it", async () => {
  assert.equal(await exported("host", "openssh"), `@cert-authority * ssh-ed25519 ${SSH_KEY} prod host CA\n`);
});

for (const type of ["user", "host"] as const) {
  test(`exports the certificates of the ${type} CA`, async () => assert.equal(await exported(type, "pem"), PEM));
}

test("writes a line for every key that is trusted, and OpenSSH reads them", async (t) => {
  const lines = trustLines("user", { clusterName: "prod", sshPublicKeys: [SSH_KEY, SSH_KEY], certificatesPem: [] });
  assert.equal(lines.trimEnd().split("\n").length, 2);
  const folder = await mkdtemp(join(tmpdir(), "mezite-ca-"));
  t.after(() => rm(folder, { recursive: true }));
  const { context } = contextOf();
  await exportAuthority(context, { type: "user", form: "openssh", out: join(folder, "ca.pub") });
  assert.match(
    execFileSync("ssh-keygen", ["-l", "-f", join(folder, "ca.pub")], { encoding: "utf8" }),
    /^256 SHA256:\S+ prod user CA \(ED25519\)/,
  );
});

test("writes the type of each key", () => {
  const { publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const other = publicKeyOf(publicKey).blob.toString("base64");
  const lines = trustLines("host", { clusterName: "prod", sshPublicKeys: [SSH_KEY, other], certificatesPem: [] });
  assert.equal(
    lines,
    `@cert-authority * ssh-ed25519 ${SSH_KEY} prod host CA\n@cert-authority * ecdsa-sha2-nistp256 ${other} prod host CA\n`,
  );
});

test("writes to a file instead of standard output", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "mezite-ca-"));
  t.after(() => rm(folder, { recursive: true }));
  const { context, stdout, notes } = contextOf();
  await exportAuthority(context, { type: "host", form: "pem", out: join(folder, "ca.pem") });
  assert.equal(await readFile(join(folder, "ca.pem"), "utf8"), PEM);
  assert.equal(stdout.read(), null);
  assert.equal(notes.length, 1);
  await assert.rejects(exportAuthority(context, { type: "host", form: "pem", out: join(folder, "no", "ca.pem") }), (error) =>
    isMezError(error, "STORAGE_UNWRITABLE"),
  );
});

test("shows a row for each key of each authority", async () => {
  const { context, tables, notes } = contextOf();
  await showStatus(context, "host");
  await showStatus(context, "user");
  assert.deepEqual(notes, ["user CA, init: node web-01 has not been heard of"]);
  assert.deepEqual(tables, [
    [],
    [["user", "init", "active", 2, new Date(3), 1, "SHA256:abc", "sha256:def", "", "software", new Date(0), new Date(1)]],
  ]);
});

test("exports the SPIFFE CA as certificates, or as the bundle that its users ask for", async () => {
  assert.equal(await exported("spiffe"), PEM);
  assert.equal(await exported("spiffe", "jwks"), '{"keys":[]}\n');
  assert.equal(await exported("spiffe", undefined, "json"), '{"keys":[]}\n');
  for (const [type, form] of [
    ["spiffe", "openssh"],
    ["user", "jwks"],
  ] as const)
    await assert.rejects(exported(type, form), (error) => isMezError(error, "INVALID_ARGUMENT"));
});

// --- internal ---

async function exported(type: AuthorityTypeName, form?: ExportForm, format: "table" | "json" = "table"): Promise<string> {
  const { context, stdout } = contextOf(format);
  await exportAuthority(context, { type, form, out: undefined });
  return String(stdout.read());
}

function contextOf(format: "table" | "json" = "table"): {
  context: CommandContext;
  stdout: PassThrough;
  notes: string[];
  tables: unknown[][];
} {
  const stdout = new PassThrough();
  const notes: string[] = [];
  const tables: unknown[][] = [];
  const refuse = () => Promise.reject(new Error("nothing is to be moved"));
  const client: RpcClient<CaServiceService> = {
    ...{ rotate: refuse, advance: refuse, rollback: refuse },
    export: async ({ type }: ExportRequest) => {
      if (type === AuthorityType.AUTHORITY_TYPE_SPIFFE)
        return { clusterName: "prod", sshPublicKeys: [], certificatesPem: [PEM], spiffeBundleJson: '{"keys":[]}' };
      assert.ok(type === AuthorityType.AUTHORITY_TYPE_USER || type === AuthorityType.AUTHORITY_TYPE_HOST);
      return { clusterName: "prod", sshPublicKeys: [SSH_KEY], certificatesPem: [PEM], spiffeBundleJson: "" };
    },
    getStatus: async () => ({
      authorities: [
        {
          type: AuthorityType.AUTHORITY_TYPE_USER,
          phase: "init",
          phaseSince: new Date(0),
          laggards: [{ kind: "node", name: "web-01", reason: "has not been heard of" }],
          keys: [
            {
              state: KeyState.KEY_STATE_ACTIVE,
              sshFingerprint: "SHA256:abc",
              certificatePin: "sha256:def",
              jwtKeyId: "",
              keyBackend: "software",
              createdAt: new Date(0),
              certificateExpiresAt: new Date(1),
              validCertificates: 2,
              lastCertificateExpiresAt: new Date(3),
            },
          ],
        },
      ],
    }),
  };
  const context: CommandContext = {
    binary: "mezctl",
    version: "0.1.0",
    globals: {},
    env: {},
    stdin: new PassThrough(),
    stdout,
    stderr: new PassThrough(),
    isTerminal: false,
    homeDirectory: "/",
    signal: AbortSignal.timeout(60_000),
    now: () => new Date(0),
    rpc: async () => client as never,
    connection: () => Promise.reject(new Error("no connection here")),
    promptSecret: () => Promise.reject(new Error("nobody to ask")),
    renewLogin: () => Promise.reject(new Error("no login here")),
    loginAnswer: () => Promise.reject(new Error("nobody logs in")),
    output: {
      format,
      rows: async <Row>(rows: readonly Row[], columns: readonly Column<Row>[]) =>
        void tables.push(rows.map((row) => columns.map((column) => column.value(row)))),
      record: async () => undefined,
      note: (text) => void notes.push(text),
    },
  };
  return { context, stdout, notes, tables };
}
