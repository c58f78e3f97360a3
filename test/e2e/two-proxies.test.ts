import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Cluster, type Daemon } from "../fixtures/cluster.js";
import { configThrough } from "../fixtures/config-through.js";
import { askingOf, directBridge } from "../fixtures/direct-client.js";
import { eventually } from "../fixtures/eventually.js";
import { freePorts } from "../fixtures/free-ports.js";
import { SshSession } from "../fixtures/ssh-session.js";
import { needsPeers } from "../peers/require-peer.js";

describe("two proxies", needsPeers("ssh"), () => {
  let cluster: Cluster;
  let second: Daemon;
  let secondPorts: { readonly ssh: number; readonly tunnel: number };
  /** Reached through the first proxy only. */
  let near: string;
  /** Has a tunnel to each. */
  let both: string;
  before(async () => {
    const [ssh, tunnel, web] = (await freePorts(3)) as [number, number, number];
    secondPorts = { ssh, tunnel };
    cluster = await Cluster.start({ node: "apart", proxy: "apart", config: { proxy: { peers: [`localhost:${tunnel}`] } } });
    const config = JSON.parse(readFileSync(cluster.configFile, "utf8"));
    config.proxy = {
      ...{ ssh_listen_addr: `localhost:${ssh}`, tunnel_listen_addr: `localhost:${tunnel}`, web_listen_addr: `localhost:${web}` },
      peers: [`localhost:${cluster.ports.tunnel}`],
    };
    // On machines of their own, each has the name of its machine.
    config.plugins = { nodes: { config: { host_name: "second" } } };
    writeFileSync(join(cluster.folder, "second.yaml"), JSON.stringify(config));
    second = startSecond();
    await second.printed(/proxy ready/);
    await cluster.startNodeAt("web-02", [`localhost:${cluster.ports.tunnel}`, `localhost:${tunnel}`]);
    [near, both] = ["web-01", "web-02"].map((name) => `${cluster.login}@${name}`) as [string, string];
    await eventually(() => through("second", [both, "true"]).code === 0);
  });
  after(() => cluster.stop());

  const startSecond = () => cluster.joining(["proxy", `--config=${join(cluster.folder, "second.yaml")}`], "proxy", "second");
  const configOf = (proxy: "first" | "second"): string => {
    if (proxy === "first") return cluster.sshConfig();
    return throughSecond(cluster.home);
  };
  const throughSecond = (home: string): string =>
    configThrough(home, join(home, ".mezite-second"), `localhost:${secondPorts.ssh}`);
  const through = (proxy: "first" | "second", args: readonly string[], input: string | Buffer = "") =>
    cluster.run("ssh", ["-F", configOf(proxy), ...args], { input });

  test("have names of their own", () => {
    const proxies = JSON.parse(cluster.mezctlOk(["nodes", "ls", "--proxies", "--format=json"])) as { name: string }[];
    assert.deepEqual([proxies.length, new Set(proxies.map(({ name }) => name)).size], [2, 2]);
  });

  test("lead to nodes that are connected to the other one alone, both ways, with exit codes and all bytes", () => {
    for (const proxy of ["first", "second"] as const)
      for (const target of [near, both]) {
        const { code, stdout, stderr } = through(proxy, [target, "echo here; exit 5"]);
        assert.deepEqual([proxy, target, code, stdout, stderr], [proxy, target, 5, "here\n", ""]);
      }
    const bytes = randomBytes(6_000_000).toString("base64");
    const { stdout } = through("second", [near, "sha256sum"], bytes);
    assert.equal(stdout.split(" ")[0], createHash("sha256").update(bytes).digest("hex"));
  });

  test("say who came, and from where, as if there were one", async () => {
    const mark = `mark-${randomBytes(4).toString("hex")}`;
    assert.equal(through("second", [near, `echo ${mark}`]).code, 0);
    const [event] = await eventually(() => {
      const found = JSON.parse(
        cluster.mezctlOk(["audit", "ls", "--type=session.exec", "--limit=20", "--format=json"]),
      ) as Event[];
      const mine = found.filter((one) => JSON.stringify(one).includes(mark));
      return mine.length > 0 && mine;
    });
    assert.match(JSON.stringify(event), /127\.0\.0\.1|::1/);
  });

  test("end a session through both when its person is locked", async () => {
    const home = cluster.person("carol", ["--roles=access", `--logins=${cluster.login}`]);
    await eventually(async () => {
      const session = await SshSession.open(cluster, near, ["-F", throughSecond(home)], { home });
      cluster.mezctlOk(["locks", "create", "--user=carol", "--message=out"]);
      assert.equal(await session.ended(), 255);
      // The node has half a second to say it, and a machine with much to do may be late.
      cluster.mezctlOk(["locks", "delete", "--target-type=user", "--target-name=carol"]);
      return session.errors.includes("user carol is locked: out");
    });
  });

  test("lead there by the direct route as well, and end it when its person is locked", async (t) => {
    const home = cluster.person("dora", ["--roles=access", `--logins=${cluster.login}`]);
    const bridge = await directBridge(askingOf(home, { port: secondPorts.ssh, user: "dora", host: cluster.nodeName }));
    t.after(bridge.close);
    const bytes = randomBytes(3_000_000).toString("base64");
    const flags = ["-F", cluster.sshConfig({ home }), ...bridge.flags, near];
    const { stdout, stderr } = await cluster.runMeanwhile("ssh", [...flags, "sha256sum"], { home, input: bytes });
    assert.equal(stdout.split(" ")[0], createHash("sha256").update(bytes).digest("hex"), stderr);
    await eventually(async () => {
      const session = await SshSession.open(cluster, near, bridge.flags, { home });
      cluster.mezctlOk(["locks", "create", "--user=dora", "--message=out"]);
      assert.equal(await session.ended(), 255);
      // The node has half a second to say it, and a machine with much to do may be late.
      cluster.mezctlOk(["locks", "delete", "--target-type=user", "--target-name=dora"]);
      return session.errors.includes("user dora is locked: out");
    });
  });

  test("a session through one goes on when the other is killed, and new ones work again as soon as it is back", async () => {
    const session = await SshSession.open(cluster, both, ["-F", configOf("second")]);
    await cluster.proxy?.stop("SIGKILL");
    await session.works();
    assert.equal(through("second", [both, "true"]).code, 0);
    const home = join(cluster.folder, "two-proxies");
    mkdirSync(home);
    const proxies = `--proxy=localhost:${cluster.ports.ssh},localhost:${secondPorts.ssh}`;
    cluster.mshOk(["login", "--user=admin", "--password-stdin", proxies], { home, input: `${cluster.adminPassword}\n` });
    const { code: reached, stderr: why } = cluster.ssh([both, "true"], { home });
    assert.equal(reached, 0, why);
    const { code, stderr } = through("second", [near, "true"]);
    assert.equal(code, 255);
    assert.match(stderr, /node "web-01" is offline/);
    await cluster.startProxy();
    await eventually(() => through("second", [near, "true"]).code === 0);
    await session.works();
    await session.close();
  });
});

// --- internal ---

type Event = Readonly<Record<string, unknown>>;
