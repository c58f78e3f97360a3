import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Cluster } from "../fixtures/cluster.js";
import { configByJump } from "../fixtures/config-through.js";
import { SshdPair } from "./sshd-pair.js";

/**
 * The same for both sides; a first value wins over what follows in a file. A bash that takes itself for one inside another reads no
 * `.bashrc`: what a person has in there takes the same time on both sides, and on some machines more than all else.
 */
const CLIENT_OPTIONS = `Host *
  SetEnv SHLVL=1
  Ciphers aes128-gcm@openssh.com
  Compression no
  ControlMaster no
  ControlPath none
  IgnoreUnknown ObscureKeystrokeTiming
  ObscureKeystrokeTiming no
  LogLevel ERROR

`;

/** How an OpenSSH client reaches a host through one door. */
export interface Route {
  /** File for `ssh -F`. */
  readonly config: string;
  /** `login@host` */
  readonly destination: string;
}

/** What the rows measure on, started when the first of them asks. */
export class BenchBed {
  #cluster: Promise<Cluster> | null = null;
  #sshd: Promise<SshdPair> | null = null;

  /** A combined server, and a node in a process of its own. */
  cluster(): Promise<Cluster> {
    this.#cluster ??= Cluster.start({ node: "apart" });
    return this.#cluster;
  }

  /** Through our proxy and node, with the configuration that a login leaves. */
  async ours(): Promise<Route> {
    const cluster = await this.cluster();
    const config = join(cluster.folder, "bench_config");
    writeFileSync(config, CLIENT_OPTIONS + readFileSync(cluster.sshConfig(), "utf8"), { mode: 0o600 });
    return { config, destination: `${cluster.login}@${cluster.nodeName}` };
  }

  /** Through our proxy and node, which ssh reaches by itself. */
  async jumping(): Promise<Route> {
    const [cluster, { destination }] = [await this.cluster(), await this.ours()];
    const config = configByJump(cluster.home, join(cluster.folder, "bench_jump_config"));
    writeFileSync(config, CLIENT_OPTIONS + readFileSync(config, "utf8"), { mode: 0o600 });
    return { config, destination };
  }

  /** Through our proxy to the second `sshd` of `theirs`. */
  async agentless(): Promise<Route> {
    const [cluster, { config }] = [await this.cluster(), await this.ours()];
    this.#sshd ??= SshdPair.start();
    const pair = await this.#sshd;
    pair.trust(cluster.mezctlOk(["ca", "export", "--type=user"]));
    const add = [
      "nodes",
      "add",
      "--openssh",
      "--name=inner",
      "--host=127.0.0.1",
      `--port=${pair.innerPort}`,
      "--labels=env=test",
    ];
    cluster.mezctlOk([...add, `--host-key-file=${pair.folder}/host.pub`]);
    return { config, destination: `${pair.login}@inner` };
  }

  /** Through two `sshd` with `ProxyJump`, certificates on every side. */
  async theirs(): Promise<Route> {
    this.#sshd ??= SshdPair.start();
    const pair = await this.#sshd;
    const config = join(pair.folder, "bench_config");
    writeFileSync(config, CLIENT_OPTIONS + pair.clientConfig, { mode: 0o600 });
    return { config, destination: `${pair.login}@inner` };
  }

  async close(): Promise<void> {
    const [cluster, sshd] = await Promise.all([this.#cluster?.catch(() => null), this.#sshd?.catch(() => null)]);
    await cluster?.stop();
    await sshd?.stop();
  }
}
