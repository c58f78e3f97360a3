import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { Cluster, type Daemon } from "../fixtures/cluster.js";
import { eventually } from "../fixtures/eventually.js";
import { IdentityMachine } from "../fixtures/identity-machine.js";
import { SshSession } from "../fixtures/ssh-session.js";

export type Release = "before" | "this";
export type Part = "auth" | "proxy" | "node";

/** A cluster whose parts, and whose people's programs, are of one release or of the other. */
export class TwoReleases {
  readonly #people: { readonly name: string; readonly home: string }[] = [];
  readonly #parts: Record<Part, Release> = { auth: "before", proxy: "before", node: "before" };

  private constructor(
    readonly cluster: Cluster,
    private readonly from: string,
    private readonly machine: IdentityMachine,
    private readonly renewing: Daemon,
  ) {}

  /** @param from Checkout of the release before, built. */
  static async start(
    from: string,
    config: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {},
  ): Promise<TwoReleases> {
    const cluster = await Cluster.start({ node: "apart", proxy: "apart", installed: from, config });
    try {
      IdentityMachine.createRole(cluster);
      const machine = new IdentityMachine(cluster, "renewing");
      const renewing = machine.start([], IdentityMachine.create(cluster, "renewing"));
      await renewing.printed(/"msg":"ready"/);
      return new TwoReleases(cluster, from, machine, renewing);
    } catch (error) {
      await cluster.stop();
      throw error;
    }
  }

  get target(): string {
    return `${this.cluster.login}@${this.cluster.nodeName}`;
  }

  /** What runs now, as in `auth this, proxy before, node before`. */
  get parts(): string {
    return Object.entries(this.#parts)
      .map(([part, release]) => `${part} ${release}`)
      .join(", ");
  }

  /** Has what is started from now on, daemons and programs, be of a release. */
  use(release: Release): void {
    this.cluster.use(release === "before" ? this.from : undefined);
  }

  /** Stops a part and starts it over its state, of another release. */
  async change(part: Part, release: Release): Promise<void> {
    const { cluster } = this;
    this.use(release);
    if (part === "auth") {
      await cluster.server.stop();
      await cluster.startServer();
    } else if (part === "proxy") {
      await cluster.proxy?.stop();
      await cluster.startProxy();
    } else {
      await cluster.node?.stop();
      cluster.node = await cluster.startNode(cluster.nodeName, ["--labels=env=test"]);
    }
    this.#parts[part] = release;
    await cluster.online(cluster.nodeName);
  }

  /** Everything that people do every day, with the programs of both releases. */
  async everybodyWorks(t: TestContext): Promise<void> {
    for (const release of ["before", "this"] as const) {
      this.use(release);
      await t.test(`people with programs of the release "${release}"`, () => this.#personWorks());
    }
    await t.test("logins that were made until now", () => this.#loginsWork());
    await t.test("a machine's renewal", async () => {
      const { generation } = this.machine;
      this.renewing.process.kill("SIGHUP");
      await eventually(() => this.machine.generation > generation);
      assert.equal(this.machine.ssh("echo here").stdout, "here\n");
    });
  }

  async #personWorks(): Promise<void> {
    const { cluster, target } = this;
    const name = `person-${this.#people.length + 1}`;
    const home = cluster.person(name, ["--roles=access", `--logins=${cluster.login}`]);
    assert.deepEqual(cluster.ssh([target, "echo here"], { home }), { code: 0, stdout: "here\n", stderr: "" });
    assert.match(cluster.mshOk(["ls"], { home }), new RegExp(cluster.nodeName));
    assert.equal(cluster.mshOk(["ssh", target, "echo here"], { home }), "here\n");
    for (const list of LISTS) cluster.mezctlOk(list);

    const session = await SshSession.open(cluster, target, [], { home });
    cluster.mezctlOk(["locks", "create", `--user=${name}`, "--message=Gone fishing"]);
    await session.ended();
    assert.match(`${session.output}${session.errors}`, /Gone fishing/);
    const refused = cluster.ssh([target, "true"], { home });
    assert.deepEqual([refused.code, /Gone fishing/.test(refused.stderr)], [255, true], refused.stderr);
    cluster.mezctlOk(["locks", "delete", "--target-type=user", `--target-name=${name}`]);
    await eventually(() => cluster.ssh([target, "true"], { home }).code === 0);
    this.#people.push({ name, home });
  }

  #loginsWork(): void {
    for (const { name, home } of this.#people) {
      const { code, stderr } = this.cluster.ssh([this.target, "true"], { home });
      assert.equal(code, 0, `${name}: ${stderr}`);
    }
  }
}

// --- internal ---

const LISTS: readonly (readonly string[])[] = [
  ...["users", "nodes", "roles", "locks", "recordings", "sessions", "plugins", "agent-identities"].map((noun) => [noun, "ls"]),
  ...[
    ["tokens", "list"],
    ["ca", "status"],
    ["audit", "ls", "--limit=5"],
    ["audit", "verify"],
  ],
];
