import assert from "node:assert/strict";
import { createHash, createPrivateKey, X509Certificate } from "node:crypto";
import { chmodSync, readFileSync, realpathSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, afterEach, before, describe, test } from "node:test";
import { status } from "@grpc/grpc-js";
import { bareGrpcCall, fieldsOf, fieldWith } from "../fixtures/bare-grpc.js";
import { Cluster, type Daemon } from "../fixtures/cluster.js";
import { eventually } from "../fixtures/eventually.js";
import { freePorts } from "../fixtures/free-ports.js";
import { IdentityMachine } from "../fixtures/identity-machine.js";
import type { WorkloadLine, WorkloadQuestion } from "../fixtures/workload-call.js";
import { askOnce, WorkloadProgram } from "../fixtures/workload-program.js";
import { startMutualTls } from "../peers/mutual-tls.js";
import { needsPeers, requirePeer } from "../peers/require-peer.js";

const NODE = realpathSync(process.execPath);
const OWN_UID = process.getuid?.() ?? 0;
const DOMAIN = "spiffe://test";

describe("SVIDs of the Workload API of mezd identity", needsPeers("openssl", "curl", "nginx", "haproxy", "python3-jwt"), () => {
  let cluster: Cluster;
  let daemon: Daemon;
  let socket: string;
  const programs: WorkloadProgram[] = [];
  const entries: string[] = [];
  before(async () => {
    cluster = await Cluster.start();
    chmodSync(cluster.folder, 0o755); // for programs of other users
    socket = join(cluster.folder, "run", "workload.sock");
    IdentityMachine.createRole(cluster);
    const machine = new IdentityMachine(cluster, cluster.nodeName);
    daemon = machine.start([`--workload-socket=${socket}`], IdentityMachine.create(cluster, cluster.nodeName));
    await daemon.printed(/"?ready/);
  });
  after(() => cluster?.stop());
  afterEach(() => {
    for (const program of programs.splice(0)) program.stop();
    for (const name of entries.splice(0)) remove(name);
  });

  test("are checked by openssl, nginx, haproxy and curl, in both directions", async () => {
    create("server", { path: [NODE] }, { hint: "server", dns_sans: ["localhost"] });
    const { files, bundle } = await until("server");
    const svid = new X509Certificate(files.certificatePem);
    assert.deepEqual(svid.subjectAltName?.split(", ").sort(), ["DNS:localhost", `URI:${DOMAIN}/ns/test/server`]);
    const place = (name: string): string => join(cluster.folder, name);
    writeFileSync(place("svid.pem"), files.certificatePem);
    writeFileSync(place("svid.key"), files.privateKeyPem, { mode: 0o600 });
    writeFileSync(place("bundle.pem"), bundle);
    for (const purpose of ["sslserver", "sslclient"]) {
      const { code, stdout, stderr } = cluster.run("openssl", [
        ...["verify", "-x509_strict", "-purpose", purpose, "-CAfile", place("bundle.pem"), place("svid.pem")],
      ]);
      assert.equal(code, 0, stdout + stderr);
    }
    const foreign = cluster.run("openssl", [
      ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1", "-subj", "/O=SPIFFE"],
      ...[
        "-addext",
        `subjectAltName=URI:${DOMAIN}/ns/test/server`,
        "-keyout",
        place("foreign.key"),
        "-out",
        place("foreign.pem"),
      ],
    ]);
    assert.equal(foreign.code, 0, foreign.stderr);
    for (const [program, verified] of [
      ["nginx", "verified: SUCCESS"],
      ["haproxy", "verified: 0"],
    ] as const) {
      const [port] = await freePorts(1);
      const server = await startMutualTls(program, place(program), port as number, { ...files, authoritiesPem: bundle });
      try {
        const get = (...flags: readonly string[]) =>
          cluster.run("curl", ["-sS", "--max-time", "60", ...flags, `https://localhost:${port}/`]);
        const trusted = ["--cacert", place("bundle.pem")];
        assert.equal(get(...trusted, "--cert", place("svid.pem"), "--key", place("svid.key")).stdout, verified, program);
        for (const other of [[], ["--cert", place("foreign.pem"), "--key", place("foreign.key")]])
          assert.doesNotMatch(get(...trusted, ...other).stdout, /verified: (SUCCESS|0)$/, `${program}: a client without an SVID`);
        const unknown = get("--cacert", place("foreign.pem"), "--cert", place("svid.pem"), "--key", place("svid.key"));
        assert.equal(unknown.code, 60, `curl knows another bundle: ${unknown.stderr}`);
      } finally {
        await server.stop();
      }
    }
  });

  test("as JWT are checked by PyJWT with the published bundle", async () => {
    create("caller", { uid: OWN_UID });
    await until("caller");
    const { svids } = await ask({ method: "fetchJwtsvid", request: { audience: ["db", "queue"] } });
    const { bundles } = await ask({ method: "fetchJwtBundles" });
    const jwks = Buffer.from(bundles?.[DOMAIN] ?? "", "base64").toString();
    const check = (audience: string) =>
      cluster.run("/usr/bin/python3", ["-c", PYJWT], { input: JSON.stringify({ token: svids?.[0]?.svid, jwks, audience }) });
    assert.deepEqual(check("db").stdout, `${DOMAIN}/ns/test/caller\n`, check("db").stderr);
    assert.match(check("mail").stderr, /InvalidAudienceError/);
    const valid = await ask({ method: "validateJwtsvid", request: { audience: "queue", svid: svids?.[0]?.svid } });
    assert.equal(valid.spiffeId, `${DOMAIN}/ns/test/caller`);
  });

  test("are fetched by curl with nothing but the standard's field numbers, and not without its metadata", async () => {
    create("curl", { path: realpathSync(requirePeer("curl")) }, { hint: "by hand" });
    const call = (method: string, message: Buffer, metadata = ["workload.spiffe.io: true"]) =>
      bareGrpcCall(socket, `/SpiffeWorkloadAPI/${method}`, message, metadata);
    const answer = await eventually(() => call("FetchX509SVID", Buffer.alloc(0)).messages[0]);
    const svid = fieldsOf(fieldsOf(answer).get(1)?.[0] ?? Buffer.alloc(0)); // X509SVIDResponse.svids
    const [spiffeId, chain, key, bundle, hint] = [1, 2, 3, 4, 5].map((number) => svid.get(number)?.[0] ?? Buffer.alloc(0));
    assert.deepEqual([String(spiffeId), String(hint)], [`${DOMAIN}/ns/test/curl`, "by hand"]);
    const file = (name: string): string => join(cluster.folder, name);
    writeFileSync(file("bare.pem"), String(new X509Certificate(chain ?? "")));
    writeFileSync(file("bare-ca.pem"), String(new X509Certificate(bundle ?? "")));
    writeFileSync(file("bare.key"), key ?? "", { mode: 0o600 });
    const openssl = (...args: readonly string[]) => cluster.run("openssl", args);
    assert.equal(openssl("verify", "-x509_strict", "-CAfile", file("bare-ca.pem"), file("bare.pem")).code, 0);
    assert.equal(
      openssl("pkey", "-inform", "DER", "-in", file("bare.key"), "-pubout").stdout,
      openssl("x509", "-in", file("bare.pem"), "-noout", "-pubkey").stdout,
    );
    const [jwt] = call("FetchJWTSVID", fieldWith(1, "db")).messages;
    const token = String(fieldsOf(fieldsOf(jwt ?? Buffer.alloc(0)).get(1)?.[0] ?? Buffer.alloc(0)).get(2)?.[0]);
    const [valid] = call("ValidateJWTSVID", Buffer.concat([fieldWith(1, "db"), fieldWith(2, token)])).messages;
    assert.equal(String(fieldsOf(valid ?? Buffer.alloc(0)).get(1)?.[0]), `${DOMAIN}/ns/test/curl`);
    for (const method of ["FetchX509SVID", "FetchX509Bundles", "FetchJWTSVID", "FetchJWTBundles", "ValidateJWTSVID"]) {
      const { messages, headers } = call(method, fieldWith(1, "db"), []);
      assert.equal(messages.length, 0);
      assert.match(headers, /grpc-status: 3\r\n/, `${method}: InvalidArgument`);
    }
  });

  test("are for the user, program and digest of their entry alone, and the audit log says who asked", async () => {
    const digest = createHash("sha256").update(readFileSync(NODE)).digest("hex");
    create("right", { uid: OWN_UID, path: NODE, sha256: digest });
    create("user", { uid: 65534 });
    create("path", { path: "/bin/true" });
    create("digest", { sha256: "0".repeat(64) });
    await until("right");
    const ids = (line: WorkloadLine) => line.svids?.map(({ spiffeId }) => spiffeId?.split("/").at(-1));
    assert.deepEqual(ids(await ask({ method: "fetchX509Svid" })), ["right"]);
    if (OWN_UID === 0) {
      assert.deepEqual(ids(await ask({ method: "fetchX509Svid", uid: 65534, gid: 65534, groups: [] })), ["user"]);
      assert.equal((await ask({ method: "fetchX509Svid", uid: 65533, gid: 65533, groups: [] })).code, status.PERMISSION_DENIED);
    }
    const [event] = JSON.parse(
      cluster.mezctlOk(["audit", "ls", "--type=workload_identity.svid_issued", "--limit=1000", "--format=json"]),
    ).filter((found: { resource_name?: string }) => JSON.stringify(found).includes("/right")) as Record<string, unknown>[];
    assert.match(
      JSON.stringify(event),
      new RegExp(`"path":"${NODE}".*"sha256":"${digest}"|"sha256":"${digest}".*"path":"${NODE}"`),
    );
  });

  test("end with the entry, with a lock of the identity, and come back", async () => {
    create("first", { uid: OWN_UID });
    await until("first");
    const [gone] = [watch("fetchX509Svid")];
    await gone.line(1);
    remove(entries.pop() as string);
    assert.equal((await gone.line(2)).code, status.PERMISSION_DENIED);

    create("second", { uid: OWN_UID });
    await until("second");
    const running = (["fetchX509Svid", "fetchX509Bundles", "fetchJwtBundles"] as const).map(watch);
    await Promise.all(running.map((program) => program.line(1)));
    cluster.mezctlOk(["locks", "create", "--type=agent_identity", `--name=${cluster.nodeName}`, "--message=for a while"]);
    for (const program of running) assert.equal((await program.line(2)).code, status.PERMISSION_DENIED);
    assert.equal((await ask({ method: "fetchJwtsvid", request: { audience: ["db"] } })).code, status.PERMISSION_DENIED);
    const [{ id }] = JSON.parse(cluster.mezctlOk(["locks", "list", "--format=json"])) as [{ id: string }];
    cluster.mezctlOk(["locks", "delete", id]);
    await until("second");
  });

  test("follow a rotation of the SPIFFE CA, in the streams that are open", async () => {
    create("rotated", { uid: OWN_UID });
    const before = await until("rotated");
    const [svids, bundles, jwks] = [watch("fetchX509Svid"), watch("fetchX509Bundles"), watch("fetchJwtBundles")];
    await Promise.all([svids, bundles, jwks].map((program) => program.line(1)));
    await eventually(() => step("rotate"));
    await Promise.all([bundles.line(2), jwks.line(2), svids.line(2)]);
    const keys = JSON.parse(Buffer.from(jwks.lines[1]?.bundles?.[DOMAIN] ?? "", "base64").toString()) as { keys: unknown[] };
    assert.equal(keys.keys.length, 2);
    await eventually(() => step("advance"));
    const moved = await eventually(() => {
      const svid = svids.lines.at(-1)?.svids?.[0];
      return svid !== undefined && !bytes(svid.x509Svid).equals(before.der) && svid;
    });
    assert.equal(svids.lines.at(-1)?.code, undefined, "the stream goes on");
    const old = new X509Certificate(before.der);
    const authorities = certificatesIn(bytes(moved.bundle));
    const signer = (leaf: X509Certificate) => authorities.findIndex(({ publicKey }) => leaf.verify(publicKey));
    assert.notEqual(signer(new X509Certificate(bytes(moved.x509Svid))), signer(old), "another key signed it");
    assert.ok(signer(old) >= 0, "SVIDs of before are still good");
  });

  test("outlive renewals of the identity and an auth service that is away", async () => {
    create("steady", { uid: OWN_UID });
    await until("steady");
    const program = watch("fetchX509Svid");
    await program.line(1);
    daemon.process.kill("SIGHUP");
    await daemon.printed(/renewed/);
    await ask({ method: "fetchJwtsvid", request: { audience: ["held"] } });
    await cluster.server.stop();
    assert.equal((await ask({ method: "fetchX509Svid" })).svids?.[0]?.x509Svid, program.lines[0]?.svids?.[0]?.x509Svid);
    assert.equal((await ask({ method: "fetchJwtsvid", request: { audience: ["held"] } })).svids?.length, 1);
    assert.equal((await ask({ method: "fetchJwtsvid", request: { audience: ["new"] } })).code, status.UNAVAILABLE);
    await cluster.startServer();
    await eventually(async () => (await ask({ method: "fetchJwtsvid", request: { audience: ["new"] } })).svids?.length === 1);
    assert.equal(program.lines.at(-1)?.code, undefined, "the stream goes on");
  });

  test("cost nothing where they are not served", async () => {
    const loaded = (process: Daemon): boolean => readFileSync(`/proc/${process.process.pid}/maps`, "utf8").includes("koffi");
    assert.equal(loaded(daemon), true);
    const plain = new IdentityMachine(cluster, "plain");
    const other = plain.start([], IdentityMachine.create(cluster, "plain"));
    await other.printed(/"?ready/);
    assert.equal(loaded(other), false);
  });

  test("are served by one daemon at a path", async () => {
    const second = new IdentityMachine(cluster, "second");
    const { code, stderr } = second.run([`--workload-socket=${socket}`], IdentityMachine.create(cluster, "second"));
    assert.equal(code, 9, stderr);
    assert.match(stderr, /--workload-socket \S+ is taken by another process or file; choose another/);
  });

  function create(name: string, unix: Readonly<Record<string, unknown>>, more: Readonly<Record<string, unknown>> = {}): void {
    const file = join(cluster.folder, `${name}.yaml`);
    const selectors = { agent_identities: [cluster.nodeName], node_labels: { env: "test" }, unix };
    const spec = { spiffe_id: "/ns/{{node.labels.env}}/{{workload.name}}", selectors, ...more };
    writeFileSync(file, JSON.stringify({ kind: "workload_identity", version: "v1", metadata: { name }, spec }));
    cluster.mezctlOk(["workload-identities", "create", `--from-file=${file}`]);
    entries.push(name);
  }

  function remove(name: string): void {
    cluster.mezctlOk(["workload-identities", "rm", name]);
  }

  function step(way: "rotate" | "advance"): boolean {
    return cluster.mezctl(["ca", way, "--type=spiffe"]).code === 0;
  }

  function ask(question: WorkloadQuestion): Promise<WorkloadLine> {
    return askOnce(socket, question);
  }

  function watch(method: WorkloadQuestion["method"]): WorkloadProgram {
    const program = new WorkloadProgram(socket, { method });
    programs.push(program);
    return program;
  }

  /** Until this user's programs get the SVID of an entry; that, as a web server wants it. */
  async function until(name: string) {
    const svid = await eventually(async () =>
      (await ask({ method: "fetchX509Svid" })).svids?.find(({ spiffeId }) => spiffeId === `${DOMAIN}/ns/test/${name}`),
    );
    const der = bytes(svid.x509Svid);
    const key = createPrivateKey({ key: bytes(svid.x509SvidKey), format: "der", type: "pkcs8" });
    return {
      der,
      files: {
        certificatePem: certificatesIn(der).map(String).join(""),
        privateKeyPem: key.export({ format: "pem", type: "pkcs8" }).toString(),
      },
      bundle: certificatesIn(bytes(svid.bundle)).map(String).join(""),
    };
  }
});

// --- internal ---

const PYJWT = `
import json, jwt, sys
asked = json.load(sys.stdin)
keys = jwt.PyJWKSet.from_dict(json.loads(asked["jwks"])).keys
kid = jwt.get_unverified_header(asked["token"])["kid"]
key = next(key for key in keys if key.key_id == kid)
print(jwt.decode(asked["token"], key.key, algorithms=["ES256"], audience=asked["audience"])["sub"])
`;

function bytes(base64: string | undefined): Buffer {
  return Buffer.from(base64 ?? "", "base64");
}

/** Certificates, DER one after the other. */
function certificatesIn(der: Buffer): X509Certificate[] {
  const found: X509Certificate[] = [];
  for (let rest = der; rest.length > 0; ) {
    const certificate = new X509Certificate(rest);
    found.push(certificate);
    rest = rest.subarray(certificate.raw.length);
  }
  return found;
}
