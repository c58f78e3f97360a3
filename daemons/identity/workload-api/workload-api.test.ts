import assert from "node:assert/strict";
import { createHash, createPrivateKey, X509Certificate } from "node:crypto";
import { once } from "node:events";
import { chmodSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, statSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import { credentials, Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { MezError } from "../../../core/errors/error.js";
import { systemClock } from "../../../core/time/clock.js";
import { SpiffeWorkloadAPIClient } from "../../../proto/gen/spiffe/workload.js";
import { FakeWorkloadAuthority } from "../../../test/fakes/workload-authority.js";
import { eventually } from "../../../test/fixtures/eventually.js";
import { silentLogger } from "../../../test/fixtures/silent-logger.js";
import { callWorkloadApi, type WorkloadLine, type WorkloadQuestion } from "../../../test/fixtures/workload-call.js";
import { askOnce, WorkloadProgram } from "../../../test/fixtures/workload-program.js";
import { serveWorkloadApi, type WorkloadApi } from "./workload-api.js";

const OWN = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
const NODE = realpathSync(process.execPath);

let folder: string;
let socket: string;
let authority: FakeWorkloadAuthority;
let api: WorkloadApi;
let programs: WorkloadProgram[];
before(() => {
  folder = mkdtempSync(join(tmpdir(), "mezite-workload-"));
  chmodSync(folder, 0o755);
  socket = join(folder, "run", "workload.sock");
});
after(() => rmSync(folder, { recursive: true, force: true }));
beforeEach(async () => {
  programs = [];
  authority = await FakeWorkloadAuthority.make(systemClock);
  authority.entries = [authority.entry("web", { uids: [OWN.uid] }, { hint: "external" })];
  api = await serveWorkloadApi({
    socket: { path: socket, mode: 0o666 },
    auth: authority,
    clock: systemClock,
    logger: silentLogger,
  });
  api.follow();
});
afterEach(async () => {
  for (const program of programs) program.stop();
  await api.close();
});

describe("the Workload API", () => {
  test("answers a program with its X.509-SVID, key and bundle, as the standard has them", async () => {
    const { svids } = await ask({ method: "fetchX509Svid" });
    assert.equal(svids?.length, 1);
    const svid = svids?.[0] as Record<string, string>;
    const leaf = new X509Certificate(bytes(svid.x509Svid));
    assert.equal(svid.spiffeId, "spiffe://example.test/web");
    assert.equal(svid.hint, "external");
    assert.equal(leaf.subjectAltName, "URI:spiffe://example.test/web");
    assert.ok(leaf.checkPrivateKey(createPrivateKey({ key: bytes(svid.x509SvidKey), format: "der", type: "pkcs8" })));
    assert.ok(leaf.verify(new X509Certificate(bytes(svid.bundle)).publicKey));
    assert.equal(statSync(socket).mode & 0o777, 0o666);
  });

  test("answers with bundles by the trust domain's SPIFFE ID", async () => {
    const { bundles } = await ask({ method: "fetchX509Bundles" });
    assert.deepEqual(Object.keys(bundles ?? {}), ["spiffe://example.test"]);
    assert.ok(new X509Certificate(bytes(bundles?.["spiffe://example.test"])).ca);
    const { bundles: jwks } = await ask({ method: "fetchJwtBundles" });
    const { keys } = JSON.parse(bytes(jwks?.["spiffe://example.test"]).toString()) as { keys: { kid: string }[] };
    assert.deepEqual(
      keys.map(({ kid }) => kid),
      ["spiffe-1"],
    );
  });

  test("makes a JWT-SVID that it finds valid, for its audience only", async () => {
    const { svids } = await ask({ method: "fetchJwtsvid", request: { audience: ["db"] } });
    const [{ svid, spiffeId, hint }] = svids as [Record<string, string>];
    assert.deepEqual([spiffeId, hint], ["spiffe://example.test/web", "external"]);
    const valid = await ask({ method: "validateJwtsvid", request: { audience: "db", svid } });
    assert.equal(valid.spiffeId, "spiffe://example.test/web");
    assert.deepEqual(valid.claims?.aud, ["db"]);
    const other = await ask({ method: "validateJwtsvid", request: { audience: "queue", svid } });
    assert.equal(other.code, status.INVALID_ARGUMENT);
    const named = { audience: ["db"], spiffeId: "spiffe://example.test/web" };
    assert.equal((await ask({ method: "fetchJwtsvid", request: named })).svids?.length, 1);
    const foreign = await ask({ method: "fetchJwtsvid", request: { ...named, spiffeId: "spiffe://example.test/db" } });
    assert.equal(foreign.code, status.PERMISSION_DENIED);
  });

  for (const method of ["fetchX509Svid", "fetchX509Bundles", "fetchJwtsvid", "fetchJwtBundles", "validateJwtsvid"] as const) {
    for (const header of [{}, { "workload.spiffe.io": "false" }, { "workload.spiffe.io": "True" }] as Record<string, string>[]) {
      test(`refuses ${method} with metadata ${JSON.stringify(header)}`, async () => {
        assert.equal((await ask({ method, header, request: { audience: ["db"] } })).code, status.INVALID_ARGUMENT);
      });
    }

    test(`refuses ${method} by a program that no entry is for`, async () => {
      authority.entries = [authority.entry("web", { uids: [OWN.uid + 1] })];
      await served();
      const answer = await ask({ method, request: method === "validateJwtsvid" ? { audience: "db" } : { audience: ["db"] } });
      assert.deepEqual(answer, { code: status.PERMISSION_DENIED, details: "no workload identity is for this process" });
    });
  }

  for (const [what, audience] of [
    ["no audience", []],
    ["an empty audience", [""]],
    ["17 audiences", Array.from({ length: 17 }, String)],
    ["an audience of 256 characters", ["x".repeat(256)]],
  ] as const) {
    test(`refuses to make a JWT-SVID for ${what}`, async () => {
      assert.equal((await ask({ method: "fetchJwtsvid", request: { audience } })).code, status.INVALID_ARGUMENT);
      assert.deepEqual(authority.issued, []);
    });
  }

  test("tells programs apart by path and digest", async () => {
    const digest = createHash("sha256").update(readFileSync(NODE)).digest("hex");
    const mine = ["spiffe://example.test/web"];
    const cases: [Parameters<typeof authority.entry>[1], string[] | undefined][] = [
      [{ paths: [NODE] }, mine],
      [{ sha256: [digest] }, mine],
      [{ uids: [OWN.uid], gids: [OWN.gid], paths: [NODE], sha256: [digest] }, mine],
      [{ paths: ["/bin/sh"] }, undefined],
      [{ sha256: [digest.replace(/^./, (digit) => (digit === "0" ? "1" : "0"))] }, undefined],
      [{ paths: [NODE], sha256: ["0".repeat(64)] }, undefined],
    ];
    for (const [unix, names] of cases) {
      authority.entries = [authority.entry("web", unix)];
      await served();
      const { svids } = await ask({ method: "fetchX509Svid" });
      assert.deepEqual(
        svids?.map(({ spiffeId }) => spiffeId),
        names,
        JSON.stringify(unix),
      );
    }
  });

  test("tells programs apart by user and groups", async (t) => {
    if (OWN.uid !== 0) return t.diagnostic("needs root: a program cannot become another user otherwise");
    authority.entries = [
      authority.entry("user", { uids: [65534] }),
      authority.entry("group", { gids: [4242] }),
      authority.entry("member", { gids: [4343] }),
      authority.entry("root", { uids: [0] }),
    ];
    await served();
    for (const [who, names] of [
      [{ uid: 65534, gid: 65534, groups: [] }, ["user"]],
      [{ uid: 65534, gid: 4242, groups: [] }, ["user", "group"]],
      [{ uid: 65533, gid: 65534, groups: [4343, 7] }, ["member"]],
      [{ uid: 65533, gid: 65534, groups: [] }, undefined],
    ] as const) {
      const { svids } = await askOnce(socket, { method: "fetchX509Svid", ...who });
      assert.deepEqual(
        svids?.map(({ spiffeId }) => spiffeId),
        names?.map((name) => `spiffe://example.test/${name}`),
        JSON.stringify(who),
      );
    }
  });

  test("pushes new SVIDs and bundles when the keys of the CA change", async () => {
    const [x509, bundles, jwks] = (["fetchX509Svid", "fetchX509Bundles", "fetchJwtBundles"] as const).map(watch) as [
      WorkloadProgram,
      WorkloadProgram,
      WorkloadProgram,
    ];
    const first = await x509.line(1);
    await Promise.all([bundles.line(1), jwks.line(1)]);
    await authority.rotate();
    assert.notEqual(
      (await bundles.line(2)).bundles?.["spiffe://example.test"],
      bundles.lines[0]?.bundles?.["spiffe://example.test"],
    );
    assert.match(bytes((await jwks.line(2)).bundles?.["spiffe://example.test"]).toString(), /spiffe-2.*spiffe-1/);
    const second = await x509.line(2);
    assert.notEqual(second.svids?.[0]?.bundle, first.svids?.[0]?.bundle);
    authority.forget();
    const last = await eventually(() => {
      const svid = x509.lines.at(-1)?.svids?.[0];
      return svid?.x509Svid !== first.svids?.[0]?.x509Svid && svid;
    });
    const leaf = new X509Certificate(bytes(last.x509Svid));
    await eventually(() => {
      const bundle = bytes(x509.lines.at(-1)?.svids?.[0]?.bundle);
      return bundle.equals(authority.snapshot.bundle?.x509Authorities[0] as Buffer);
    });
    assert.ok(leaf.verify(new X509Certificate(authority.snapshot.bundle?.x509Authorities[0] as Buffer).publicKey));
    assert.equal(x509.lines.at(-1)?.code, undefined, "the stream goes on");
  });

  test("pushes a new SVID when half of its life is over", async () => {
    authority.ttlSeconds = 3;
    const program = watch("fetchX509Svid");
    const [first, second] = [await program.line(1), await program.line(2)];
    assert.notEqual(first.svids?.[0]?.x509Svid, second.svids?.[0]?.x509Svid);
    assert.notEqual(first.svids?.[0]?.x509SvidKey, second.svids?.[0]?.x509SvidKey);
  });

  test("pushes what an entry says now, and one more entry", async () => {
    const program = watch("fetchX509Svid");
    await program.line(1);
    authority.entries = [authority.entry("web", { uids: [OWN.uid] }, { revision: "2", hint: "internal" })];
    authority.changed();
    assert.equal((await program.line(2)).svids?.[0]?.hint, "internal");
    authority.entries = [...authority.entries, authority.entry("db", { uids: [OWN.uid] })];
    authority.changed();
    assert.equal((await program.line(3)).svids?.length, 2);
    authority.entries = authority.entries.slice(1);
    authority.changed();
    assert.deepEqual(
      (await program.line(4)).svids?.map(({ spiffeId }) => spiffeId),
      ["spiffe://example.test/db"],
    );
  });

  test("ends every stream with PermissionDenied when the last entry of a program is gone", async () => {
    const running = (["fetchX509Svid", "fetchX509Bundles", "fetchJwtBundles"] as const).map(watch);
    await Promise.all(running.map((program) => program.line(1)));
    authority.entries = [];
    authority.changed();
    for (const program of running) assert.equal((await program.line(2)).code, status.PERMISSION_DENIED);
  });

  test("ends every stream when the auth service lets nothing be served, and serves again when it does", async () => {
    const program = watch("fetchX509Svid");
    await program.line(1);
    authority.failure = new MezError("ACCESS_DENIED", "identity/ci is locked: reason of the lock");
    authority.changed();
    const end = await program.line(2);
    assert.equal(end.code, status.PERMISSION_DENIED);
    assert.doesNotMatch(end.details ?? "", /reason of the lock/);
    assert.equal((await ask({ method: "fetchJwtsvid", request: { audience: ["db"] } })).code, status.PERMISSION_DENIED);
    authority.failure = null;
    await eventually(async () => (await ask({ method: "fetchX509Svid" })).svids?.length === 1);
  });

  test("goes on with what it has while the auth service is away", async () => {
    const program = watch("fetchX509Svid");
    const first = await program.line(1);
    await ask({ method: "fetchJwtsvid", request: { audience: ["db"] } });
    authority.failure = new MezError("UNAVAILABLE", "cannot reach the auth service");
    authority.changed();
    assert.equal((await ask({ method: "fetchX509Svid" })).svids?.[0]?.x509Svid, first.svids?.[0]?.x509Svid);
    assert.equal((await ask({ method: "fetchJwtsvid", request: { audience: ["db"] } })).svids?.length, 1);
    assert.equal((await ask({ method: "fetchJwtsvid", request: { audience: ["new"] } })).code, status.UNAVAILABLE);
    assert.equal(program.lines.length, 1);
  });

  test("shares one SVID and key among the programs of an entry", async () => {
    const answers = await Promise.all([1, 2, 3].map(() => ask({ method: "fetchX509Svid" })));
    assert.equal(new Set(answers.map(({ svids }) => svids?.[0]?.x509SvidKey)).size, 1);
    assert.deepEqual(authority.issued, ["web"]);
  });

  test("gives one process 64 calls at once, and serves others meanwhile", async () => {
    const client = new SpiffeWorkloadAPIClient(`unix:${socket}`, credentials.createInsecure());
    const metadata = new Metadata();
    metadata.set("workload.spiffe.io", "true");
    const codes = await Promise.all(
      Array.from({ length: 65 }, () => {
        const stream = client.fetchX509Svid({}, metadata);
        return new Promise<number>((resolve) => {
          stream.once("data", () => resolve(status.OK)).on("error", ({ code }: ServiceError) => resolve(code));
        });
      }),
    );
    assert.deepEqual([codes.filter((code) => code === status.OK).length, codes.at(-1)], [64, status.RESOURCE_EXHAUSTED]);
    assert.equal((await askOnce(socket, { method: "fetchX509Svid" })).svids?.length, 1);
    client.close();
  });

  test("gives one process 16 connections, and serves others meanwhile", async () => {
    const sockets = Array.from({ length: 16 }, () => connect(socket));
    await Promise.all(sockets.map((one) => once(one, "data"))); // HTTP/2 settings of the server
    const refused = connect(socket).on("error", () => {});
    await once(refused, "close");
    assert.equal((await askOnce(socket, { method: "fetchX509Svid" })).svids?.length, 1);
    for (const one of sockets) one.destroy();
    await eventually(async () => (await ask({ method: "fetchX509Svid" })).svids?.length === 1);
  });

  test("keeps no descriptors of connections that are closed", async () => {
    const count = (): number => readdirSync("/proc/self/fd").length;
    await ask({ method: "fetchJwtsvid", request: { audience: ["db"] } });
    const before = count();
    for (let round = 0; round < 50; round += 1) await ask({ method: "fetchJwtsvid", request: { audience: ["db"] } });
    await eventually(() => count() <= before + 2);
  });

  test("tells the auth service which bundle is handed out, after each change and each new SVID", async () => {
    await ask({ method: "fetchX509Svid" });
    assert.deepEqual(authority.reports, [1, 1]);
    await authority.rotate();
    await eventually(() => authority.reports.at(-1) === 2);
  });
});

test("is out of reach before the auth service has told what may be served", async () => {
  await api.close();
  api = await serveWorkloadApi({
    socket: { path: socket, mode: 0o600 },
    auth: authority,
    clock: systemClock,
    logger: silentLogger,
  });
  assert.equal((await ask({ method: "fetchX509Svid" })).code, status.UNAVAILABLE);
  assert.equal(statSync(socket).mode & 0o777, 0o600);
});

// --- internal ---

/** What this process is answered at first. */
function ask(question: WorkloadQuestion): Promise<WorkloadLine> {
  return new Promise((resolve) => callWorkloadApi(socket, question, resolve));
}

function watch(method: WorkloadQuestion["method"]): WorkloadProgram {
  const program = new WorkloadProgram(socket, { method });
  programs.push(program);
  return program;
}

/** Until the entries of now are served. */
async function served(): Promise<void> {
  const count = authority.reports.length;
  authority.changed();
  await eventually(() => authority.reports.length > count);
}

function bytes(base64: string | undefined): Buffer {
  return Buffer.from(base64 ?? "", "base64");
}
