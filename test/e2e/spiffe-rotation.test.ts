import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { status } from "@grpc/grpc-js";
import { Cluster, type Daemon } from "../fixtures/cluster.js";
import { eventually } from "../fixtures/eventually.js";
import { IdentityMachine } from "../fixtures/identity-machine.js";
import type { WorkloadLine } from "../fixtures/workload-call.js";
import { askOnce, WorkloadProgram } from "../fixtures/workload-program.js";

const DOMAIN = "spiffe://test";

/** From none to standby, and back once from each phase. */
const WALK = [
  ...["rotate", "rollback", "rotate"],
  ...["advance", "rollback", "advance"],
  ...["advance", "rollback", "advance"],
  ...["advance", "rollback", "advance"],
];

describe("a rotation of the SPIFFE CA, with programs on two hosts", () => {
  let cluster: Cluster;
  let hosts: readonly Host[];
  before(async () => {
    cluster = await Cluster.start({ node: "none" });
    chmodSync(cluster.folder, 0o755);
    IdentityMachine.createRole(cluster);
    const file = join(cluster.folder, "workload.yaml");
    const selectors = { agent_identities: ["host-a", "host-b"], unix: { uid: process.getuid?.() ?? 0 } };
    const spec = { spiffe_id: "/{{identity.name}}/app", selectors };
    writeFileSync(file, JSON.stringify({ kind: "workload_identity", version: "v1", metadata: { name: "app" }, spec }));
    cluster.mezctlOk(["workload-identities", "create", `--from-file=${file}`]);
    hosts = await Promise.all([Host.start(cluster, "host-a"), Host.start(cluster, "host-b")]);
  });
  after(async () => {
    for (const host of hosts ?? []) host.stop();
    await cluster?.stop();
  });

  test("each program is believed on the other host at any time, forward and back from every phase", {
    timeout: 280_000,
  }, async (t) => {
    const [a, b] = hosts as [Host, Host];
    const checks = new Checks(a, b);
    const first = { svid: a.svid.der, token: await a.token() };
    for (const way of WALK) {
      await step(cluster, way);
      await checks.round();
    }
    assert.equal(phase(cluster), "standby");
    const { code, stderr } = cluster.mezctl(["ca", "advance", "--type=spiffe"]);
    assert.equal(code, 6);
    assert.match(stderr, /the spiffe CA should not go from standby to complete yet: \d+ of its certificates are valid until/);
    // Both have SVIDs of the new keys before the old keys end.
    await eventually(() => hosts.every((host) => host.svid.isOfFirstAuthority));
    cluster.mezctlOk(["ca", "advance", "--type=spiffe", "--force"]);
    await eventually(() => hosts.every(({ authorities }) => authorities.length === 1));
    await checks.round();
    checks.stop();
    t.diagnostic(`${checks.count} SVIDs checked, ${checks.failures.length} refused`);
    assert.deepEqual(checks.failures, []);
    assert.equal(phase(cluster), "complete");
    assert.ok(!b.believes(first.svid), "nothing of the old keys is good any more");
    assert.notEqual((await b.validate(first.token)).code, undefined);
    assert.equal((await b.validate(await a.token())).spiffeId, `${DOMAIN}/host-a/app`);
    assert.equal(cluster.mezctl(["audit", "verify"]).code, 0);
  });

  test("waits for a daemon that has not taken the bundle, and names it", { timeout: 280_000 }, async () => {
    const [, b] = hosts as [Host, Host];
    b.daemon.process.kill("SIGSTOP");
    try {
      cluster.mezctlOk(["ca", "rotate", "--type=spiffe"]);
      const { code, stderr } = cluster.mezctl(["ca", "advance", "--type=spiffe"]);
      assert.equal(code, 6);
      assert.match(stderr, /identity host-b \(instance [0-9a-f]{8}\) has not taken the trust bundle/);
      assert.match(cluster.mezctlOk(["ca", "status", "--type=spiffe"]), /spiffe +init/);
    } finally {
      b.daemon.process.kill("SIGCONT");
    }
    await step(cluster, "advance");
    await step(cluster, "rollback");
    // A program may have had an SVID of the new key by then.
    cluster.mezctlOk(["ca", "rollback", "--type=spiffe", "--force"]);
    assert.equal(phase(cluster), "none");
  });
});

// --- internal ---

/** One step of the rotation, as soon as everybody has followed the one before. */
async function step(cluster: Cluster, way: string): Promise<void> {
  await eventually(async () => {
    const { code, stderr } = await cluster.mezctlMeanwhile(["ca", way, "--type=spiffe"]);
    assert.equal(code, 0, `${way}: ${stderr}`);
    return true;
  });
}

function phase(cluster: Cluster): string | undefined {
  const rows = JSON.parse(cluster.mezctlOk(["ca", "status", "--type=spiffe", "--format=json"])) as { phase: string }[];
  return rows[0]?.phase;
}

/** A host with its identity daemon, and a program that keeps its SVID. */
class Host {
  private constructor(
    readonly daemon: Daemon,
    private readonly socket: string,
    private readonly program: WorkloadProgram,
  ) {}

  static async start(cluster: Cluster, name: string): Promise<Host> {
    const machine = new IdentityMachine(cluster, name);
    const socket = join(cluster.folder, `run-${name}`, "workload.sock");
    const daemon = machine.start([`--workload-socket=${socket}`], IdentityMachine.create(cluster, name));
    await daemon.printed(/"?ready/);
    await eventually(async () => (await askOnce(socket, { method: "fetchX509Svid" })).svids !== undefined);
    const program = new WorkloadProgram(socket, { method: "fetchX509Svid" });
    await program.line(1);
    return new Host(daemon, socket, program);
  }

  /** The keys that its program trusts. */
  get authorities(): readonly X509Certificate[] {
    return certificatesIn(this.#newest["bundle"]);
  }

  get svid(): { readonly der: Buffer; readonly isOfFirstAuthority: boolean } {
    const der = Buffer.from(this.#newest["x509Svid"] ?? "", "base64");
    const [authority] = this.authorities;
    return { der, isOfFirstAuthority: authority !== undefined && new X509Certificate(der).verify(authority.publicKey) };
  }

  believes(der: Buffer): boolean {
    return this.authorities.some(({ publicKey }) => new X509Certificate(der).verify(publicKey));
  }

  async token(): Promise<string> {
    const { svids } = await askOnce(this.socket, { method: "fetchJwtsvid", request: { audience: ["peer"] } });
    return svids?.[0]?.["svid"] ?? "";
  }

  validate(svid: string): Promise<WorkloadLine> {
    return askOnce(this.socket, { method: "validateJwtsvid", request: { audience: "peer", svid } });
  }

  stop(): void {
    this.program.stop();
  }

  get #newest(): Readonly<Record<string, string>> {
    const line = this.program.lines.at(-1);
    assert.equal(line?.code, undefined, `the stream has ended: ${line?.details} (${status[line?.code ?? 0]})`);
    return line?.svids?.[0] ?? {};
  }
}

/** Looks all the time whether each host believes the SVIDs of the other. */
class Checks {
  count = 0;
  readonly failures: string[] = [];
  readonly #timer: NodeJS.Timeout;

  constructor(
    private readonly a: Host,
    private readonly b: Host,
  ) {
    this.#timer = setInterval(() => this.#look(), 20);
  }

  /** Looks at X.509-SVIDs and at new JWT-SVIDs, in both directions. */
  async round(): Promise<void> {
    this.#look();
    await Promise.all([this.#exchange(this.a, this.b), this.#exchange(this.b, this.a)]);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    for (const [from, to] of [
      [this.a, this.b],
      [this.b, this.a],
    ] as const)
      this.#note(to.believes(from.svid.der), "an X.509-SVID");
  }

  async #exchange(from: Host, to: Host): Promise<void> {
    const { spiffeId, details } = await to.validate(await from.token());
    this.#note(spiffeId !== undefined, `a JWT-SVID: ${details}`);
  }

  #note(isBelieved: boolean, what: string): void {
    this.count += 1;
    if (!isBelieved) this.failures.push(what);
  }
}

/** Certificates that stand one after another in DER. */
function certificatesIn(base64: string | undefined): X509Certificate[] {
  const found: X509Certificate[] = [];
  for (let rest = Buffer.from(base64 ?? "", "base64"); rest.length > 0; ) {
    const certificate = new X509Certificate(rest);
    found.push(certificate);
    rest = rest.subarray(certificate.raw.length);
  }
  return found;
}
