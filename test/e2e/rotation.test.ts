import assert from "node:assert/strict";
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { connect } from "node:tls";
import { fileURLToPath } from "node:url";
import { isMezError } from "../../core/errors/error.js";
import { Secret } from "../../core/plugin/secret.js";
import { grpcDialer } from "../../core/rpc/client.js";
import { TUNNEL_ALPN } from "../../core/tunnel/tunnel-protocol.js";
import { AgentServiceService } from "../../proto/gen/mezite/nodes/v1/nodes.js";
import { Cluster, type Daemon, type Finished, type RunOptions } from "../fixtures/cluster.js";
import { eventually } from "../fixtures/eventually.js";
import { IdentityMachine } from "../fixtures/identity-machine.js";
import { SshSession } from "../fixtures/ssh-session.js";
import { needsPeers } from "../peers/require-peer.js";

const MSH = fileURLToPath(new URL("../../cli/msh.js", import.meta.url));
const TYPES = ["user", "host"] as const;

for (const proxy of ["together", "apart"] as const)
  describe(`a rotation of the User and the Host CA under load, auth and proxy ${proxy}`, needsPeers("ssh"), () => {
    let cluster: Cluster;
    let target: string;
    let load: Load;
    let session: SshSession;
    /** Of somebody who logs in once and has nothing to do with msh but through ssh. */
    let plain: string;
    before(async () => {
      cluster = await Cluster.start({ node: "apart", proxy });
      target = `${cluster.login}@${cluster.nodeName}`;
      load = new Load(cluster, target);
      session = await SshSession.open(cluster, target);
      plain = cluster.person("pat", ["--roles=access", `--logins=${cluster.login}`]);
    });
    after(async () => {
      await load?.stop();
      await cluster?.stop();
    });

    test("loses no login and no session, forward and back from every phase", { timeout: 420_000 }, async (t) => {
      for (const [args, words] of [
        [
          ["advance", "--type=user"],
          /^mezctl: no rotation of the user CA is under way; begin one with mezctl ca rotate --type=user$/,
        ],
        [["rollback", "--type=host"], /^mezctl: no rotation of the host CA is under way/],
      ] as const) {
        const { code, stderr } = cluster.mezctl(["ca", ...args]);
        assert.deepEqual([code, words.test(stderr.trim())], [6, true], stderr);
      }
      cpSync(cluster.home, join(cluster.folder, "home-before"), { recursive: true });
      cpSync(join(cluster.home, ".mezite", "profiles", "test", "known_hosts"), join(cluster.folder, "known_hosts-before"));
      cpSync(join(cluster.folder, cluster.nodeName), join(cluster.folder, "node-before"), { recursive: true });
      await load.start();
      for (const way of WALK) {
        await Promise.all(TYPES.map((type) => step(cluster, way, type)));
        // Everybody has logged in once and has had a session in this phase.
        await Promise.all([load.round(), opensTwice(cluster, target, plain, way)]);
        await session.works();
      }
      assert.deepEqual(phases(cluster), { user: "standby", host: "standby", spiffe: "none" });
      // Certificates of before are left behind on purpose; the next test shows that they are refused.
      const unforced = cluster.mezctl(["ca", "advance", "--type=user"]);
      assert.equal(unforced.code, 6);
      assert.match(
        unforced.stderr,
        /\d+ of its certificates are valid until \S+ at the latest, and would be refused; wait, or add --force\n$/,
      );
      await step(cluster, "advance", "host");
      await opensTwice(cluster, target, plain, "advance");
      const key = exportedKey(cluster);
      await eventually(() => trustIn(plain).join() === key);
      cluster.mezctlOk(["ca", "advance", "--type=user", "--force"]);
      await load.round();
      const { renewals } = load;
      await load.stop();
      await session.works();
      await session.close();
      t.diagnostic(`${load.logins} logins, ${load.sessions} sessions, ${renewals} renewals, ${load.failures.length} failed`);
      assert.ok(renewals >= 3, `${renewals} renewals`);
      assert.deepEqual(load.failures, []);
      assert.deepEqual(phases(cluster), { user: "complete", host: "complete", spiffe: "none" });
    });

    test("leaves nothing of the old User CA that opens a session", () => {
      const home = join(cluster.folder, "home-before");
      const config = join(home, ".mezite", "ssh_config");
      const old = join(home, ".mezite", "profiles", "test");
      // The old certificate and key, with the Host CA that counts now.
      writeFileSync(config, readFileSync(config, "utf8").replaceAll(cluster.home, home));
      for (const trust of ["known_hosts", "host-ca.pem"])
        cpSync(join(load.home, ".mezite", "profiles", "test", trust), join(old, trust));
      const { code, stderr } = cluster.ssh([target, "true"], { home });
      assert.equal(code, 255);
      assert.match(stderr, /was not issued by this cluster|no certificate of this cluster/);
      assert.equal(cluster.ssh([target, "true"], { home: load.home }).code, 0, "with the new certificate it opens");
    });

    test("leaves nothing of the old Host CA that a client, the proxy or the auth service takes", async () => {
      assert.deepEqual(trustIn(cluster.home), [exportedKey(cluster)]);
      const stale = join(cluster.folder, "known_hosts-before");
      const refused = cluster.ssh(["-o", `UserKnownHostsFile=${stale}`, target, "true"], { home: load.home });
      assert.match(refused.stderr, /Host key verification failed/);
      assert.equal(refused.code, 255, "a client that knows the old CA only is shown no certificate of it");

      // Whoever missed the new SSH key, but can still prove the auth service, is given it before ssh looks.
      cpSync(stale, join(load.home, ".mezite", "profiles", "test", "known_hosts"));
      const late = cluster.ssh([target, "true"], { home: load.home });
      assert.deepEqual([late.code, trustIn(load.home)], [0, [exportedKey(cluster)]], late.stderr);

      for (const [folder, accepted] of [
        ["node-before", false],
        [cluster.nodeName, true],
      ] as const) {
        const identity = identityIn(join(cluster.folder, folder));
        assert.equal(await opensTunnel(cluster, identity), accepted, `${folder} at the proxy`);
        const heartbeat = beat(cluster, identity);
        if (accepted) await heartbeat;
        else await assert.rejects(heartbeat, (error) => isMezError(error, "UNAUTHENTICATED"));
      }
    });

    test("tells the audit log of every step", () => {
      const count = (type: string): number =>
        (JSON.parse(cluster.mezctlOk(["audit", "ls", `--type=${type}`, "--limit=1000", "--format=json"])) as unknown[]).length;
      assert.deepEqual(
        ["started", "advanced", "rolled_back", "completed"].map((name) => count(`ca.rotation.${name}`)),
        [4, 12, 8, 2],
      );
      assert.equal(cluster.mezctl(["audit", "verify"]).code, 0);
    });
  });

// --- internal ---

const RENEWAL_SECONDS = 12;
/** How long the certificates of before stay good after a renewal, at least: an eighth of the interval. */
const SETTLE_MS = RENEWAL_SECONDS * 125;

type Way = "rotate" | "advance" | "rollback";

/** From none to standby, and back once from each phase. */
const WALK: readonly Way[] = [
  ...(["rotate", "rollback", "rotate"] as const),
  ...(["advance", "rollback", "advance"] as const),
  ...(["advance", "rollback", "advance"] as const),
  ...(["advance", "rollback", "advance"] as const),
];

/** One step, as soon as everybody has followed the one before. */
async function step(cluster: Cluster, way: Way, type: (typeof TYPES)[number]): Promise<void> {
  await eventually(async () => {
    const { code, stderr } = await cluster.mezctlMeanwhile(["ca", way, `--type=${type}`]);
    if (code === 0) return true;
    assert.match(stderr, /should not go from \S+ to \S+ yet/);
    return false;
  });
}

function phases(cluster: Cluster): Record<string, string> {
  const rows = JSON.parse(cluster.mezctlOk(["ca", "status", "--format=json"])) as { type: string; phase: string }[];
  return Object.fromEntries(rows.map(({ type, phase }) => [type, phase]));
}

/** One session after the other, as soon as a phase has begun. */
async function opensTwice(cluster: Cluster, target: string, home: string, way: Way): Promise<void> {
  for (const turn of ["first", "second"]) {
    const { code, stderr } = await ssh(cluster, [target, "true"], { home });
    assert.equal(code, 0, `${turn} session after ${way}: ${stderr}`);
  }
}

/** The Host CA keys that a login's ssh trusts, as `known_hosts` has them, without comments. */
function trustIn(home: string): readonly string[] {
  const lines = readFileSync(join(home, ".mezite", "profiles", "test", "known_hosts"), "utf8")
    .trim()
    .split("\n");
  return lines.map((line) => line.split(" ").slice(0, 4).join(" "));
}

function exportedKey(cluster: Cluster): string {
  return cluster.mezctlOk(["ca", "export", "--type=host"]).split(" ").slice(0, 4).join(" ");
}

interface Person {
  /** For msh. */
  readonly args: readonly string[];
  readonly options: { readonly home: string; readonly input: string };
}

/** People who log in and open sessions all the time, and what went wrong. */
class Load {
  /** Of somebody who has logged in all the time. */
  home = "";
  logins = 0;
  sessions = 0;
  readonly failures: string[] = [];
  #machine: { readonly machine: IdentityMachine; readonly daemon: Daemon } | null = null;
  #isRunning = false;
  #rounds = [0, 0, 0];
  #workers: readonly Promise<void>[] = [];

  constructor(
    private readonly cluster: Cluster,
    private readonly target: string,
  ) {}

  /** How often the machine has had new certificates. */
  get renewals(): number {
    return this.#machine?.machine.generation ?? 0;
  }

  async start(): Promise<void> {
    const { cluster, target } = this;
    const person = (name: string): Person => {
      const home = cluster.person(name, ["--roles=access", `--logins=${cluster.login}`]);
      return { args: ["login", `--user=${name}`, "--password-stdin"], options: { home, input: `password of ${name} 1\n` } };
    };
    const [eve, ada] = [person("eve"), person("ada")];
    this.home = eve.options.home;
    IdentityMachine.createRole(cluster);
    const machine = new IdentityMachine(cluster, "renewing");
    const token = IdentityMachine.create(cluster, "renewing");
    this.#machine = { machine, daemon: machine.start([`--renewal-interval=${RENEWAL_SECONDS}s`, machine.proxyFlag], token) };
    await this.#machine.daemon.printed(/"msg":"ready"/);
    this.#isRunning = true;
    this.#workers = [
      // Logs in anew before each session.
      this.#work(0, async () => {
        await this.#succeeds("login", () => msh(cluster, eve.args, eve.options));
        await this.#succeeds("session", () => ssh(cluster, [target, "true"], eve.options));
      }),
      // A machine, whose daemon renews its certificates all the time. The set of before is good for a moment: who took longer
      // than that, and only who did, is let try again,
      // as often as that happens.
      this.#work(2, () =>
        this.#succeeds("session", async () => {
          const run = () => ssh(cluster, [...machine.configFlags, machine.target, "true"], null);
          for (;;) {
            const [began, { generation }] = [performance.now(), machine];
            const finished = await run();
            const isOvertaken = machine.generation !== generation && performance.now() - began > SETTLE_MS;
            if (finished.code === 0 || !isOvertaken) return finished;
          }
        }),
      ),
      // Logs in now and then, and asks the cluster something in between, as people do.
      this.#work(1, async (round) => {
        await this.#succeeds("login", () => msh(cluster, round % 3 === 0 ? ada.args : ["ls"], ada.options));
        await this.#succeeds("session", () => ssh(cluster, [target, "true"], ada.options));
      }),
    ];
  }

  /** Waits until each has gone round from its beginning to its end. */
  async round(): Promise<void> {
    const wanted = this.#rounds.map((done) => done + 2);
    await eventually(() => this.#rounds.every((done, index) => done >= (wanted[index] ?? 0)));
  }

  async stop(): Promise<void> {
    this.#isRunning = false;
    await Promise.all(this.#workers);
    const { daemon } = this.#machine ?? {};
    if (daemon === undefined) return;
    for (const line of daemon.output.split("\n").filter((each) => /"level":(40|50)/.test(each)))
      this.failures.push(`renewal: ${line}`);
    await daemon.stop();
    this.#machine = null;
  }

  async #work(index: number, work: (round: number) => Promise<void>): Promise<void> {
    while (this.#isRunning) {
      await work(this.#rounds[index] ?? 0);
      this.#rounds[index] = (this.#rounds[index] ?? 0) + 1;
    }
  }

  async #succeeds(what: "login" | "session", attempt: () => Promise<Finished>): Promise<void> {
    const { code, stdout, stderr } = await attempt();
    if (what === "login") this.logins += 1;
    else this.sessions += 1;
    if (code !== 0) this.failures.push(`${what}: ${code} ${stderr}${stdout}`);
  }
}

/** @param options `null` for one who brings a configuration of their own. */
function ssh(cluster: Cluster, args: readonly string[], options: RunOptions | null = {}): Promise<Finished> {
  const config = options === null ? [] : ["-F", cluster.sshConfig(options)];
  return cluster.runMeanwhile("ssh", [...config, ...args], options ?? {});
}

function msh(cluster: Cluster, args: readonly string[], options: RunOptions = {}): Promise<Finished> {
  return cluster.runMeanwhile(process.execPath, [MSH, ...args], options);
}

interface StoredIdentity {
  readonly certificatePem: string;
  readonly privateKeyPem: string;
}

function identityIn(dataDirectory: string): StoredIdentity {
  return JSON.parse(readFileSync(join(dataDirectory, "node", "host-identity.json"), "utf8")) as StoredIdentity;
}

/** Whether the proxy speaks to an agent with this certificate: it begins as soon as it lets one in. */
function opensTunnel(cluster: Cluster, { certificatePem: cert, privateKeyPem: key }: StoredIdentity): Promise<boolean> {
  const socket = connect({
    ...{ cert, key, host: "localhost", port: cluster.ports.tunnel },
    ALPNProtocols: [TUNNEL_ALPN],
    rejectUnauthorized: false,
  });
  return new Promise<boolean>((resolve) => {
    socket
      .once("data", () => resolve(true))
      .once("error", () => resolve(false))
      .once("close", () => resolve(false));
  }).finally(() => socket.destroy());
}

async function beat(cluster: Cluster, { certificatePem, privateKeyPem }: StoredIdentity): Promise<void> {
  const certificatesPem = [readFileSync(join(cluster.dataDirectory, "host-ca.pem"), "utf8")];
  const connection = grpcDialer.dial({
    addresses: [`localhost:${cluster.ports.auth}`],
    trust: { kind: "authorities", certificatesPem },
    identity: { certificatePem, privateKeyPem: new Secret(privateKeyPem) },
  });
  try {
    await connection.client(AgentServiceService).agentHeartbeat({});
  } finally {
    connection.close();
  }
}
