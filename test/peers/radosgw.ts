import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import { CreateBucketCommand } from "@aws-sdk/client-s3";
import { Secret } from "../../core/plugin/secret.js";
import { s3Client } from "../../plugins/s3/s3-client.js";
import type { S3Settings } from "../../plugins/s3/s3-settings.js";
import { requirePeer } from "./require-peer.js";

/** A real Ceph of one monitor, one manager and one object store in memory, with its S3 gateway. */
export class RadosGateway {
  readonly #folder = mkdtempSync(join(tmpdir(), "mezite-ceph-"));
  readonly settings: S3Settings;

  private constructor(
    private readonly ports: { readonly monitor: number; readonly gateway: number },
    bucket: string,
  ) {
    this.settings = {
      ...{ bucket, region: "us-east-1", endpoint: `http://127.0.0.1:${ports.gateway}`, usesPathStyle: true },
      credentials: { accessKeyId: ACCESS_KEY, secretAccessKey: new Secret(SECRET_KEY) },
      ...{ encryption: null, lock: null },
    };
  }

  /** Starts one; the bucket has object lock. */
  static async start(bucket: string): Promise<RadosGateway> {
    const [monitor, gateway] = [await freePort(), await freePort()];
    const running = new RadosGateway({ monitor, gateway }, bucket);
    try {
      await running.#boot();
      await running.#makeBucket();
    } catch (error) {
      await running.stop();
      throw error;
    }
    return running;
  }

  async stop(): Promise<void> {
    const folder = join(this.#folder, "run");
    const pids = (existsSync(folder) ? readdirSync(folder) : [])
      .filter((name) => name.endsWith(".pid"))
      .map((name) => Number(readFileSync(join(folder, name), "utf8")));
    for (const pid of pids) signal(pid, "SIGTERM");
    for (let tries = 0; tries < 50 && pids.some((pid) => signal(pid, 0)); tries++) await delay(100);
    for (const pid of pids) signal(pid, "SIGKILL");
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** @see Ceph, "Manual deployment" */
  async #boot(): Promise<void> {
    const folder = this.#folder;
    for (const name of ["mon", "osd", "mgr", "rgw", "run"]) mkdirSync(join(folder, name));
    const fsid = crypto.randomUUID();
    writeFileSync(join(folder, "ceph.conf"), configuration(folder, fsid, this.ports));
    const keyring = join(folder, "keyring");
    await this.#run("ceph-authtool", ["--create-keyring", keyring, "--gen-key", "-n", "mon.", "--cap", "mon", "allow *"]);
    for (const name of ["client.admin", "client.rgw", "mgr.x", "osd.0"])
      await this.#run("ceph-authtool", [
        keyring,
        "--gen-key",
        "-n",
        name,
        ...["mon", "osd", "mgr"].flatMap((part) => ["--cap", part, "allow *"]),
      ]);
    for (const name of ["osd", "mgr", "rgw"]) copyFileSync(keyring, join(folder, name, "keyring"));
    const map = join(folder, "monmap");
    const address = `[v2:127.0.0.1:${this.ports.monitor}]`;
    await this.#run("monmaptool", ["--create", "--addv", "a", address, "--fsid", fsid, map]);
    await this.#ceph("ceph-mon", ["-i", "a", "--mkfs", "--monmap", map, "--keyring", keyring]);
    await this.#ceph("ceph-mon", ["-i", "a"]);
    await listening(this.ports.monitor);
    const id = (await this.#ceph("ceph", ["osd", "create"])).trim();
    await this.#ceph("ceph-osd", ["-i", id, "--mkfs"]);
    await this.#ceph("ceph", ["osd", "crush", "add", `osd.${id}`, "1.0", "root=default", "host=h"]);
    await Promise.all([this.#ceph("ceph-osd", ["-i", id]), this.#ceph("ceph-mgr", ["-i", "x"])]);
    await this.#ceph("radosgw", ["-n", "client.rgw"]);
    await listening(this.ports.gateway);
    const keys = ["--access-key", ACCESS_KEY, "--secret-key", SECRET_KEY];
    await this.#ceph("radosgw-admin", ["user", "create", "--uid=admin", "--display-name=admin", ...keys]);
  }

  async #makeBucket(): Promise<void> {
    const client = s3Client(this.settings);
    try {
      await client.send(new CreateBucketCommand({ Bucket: this.settings.bucket, ObjectLockEnabledForBucket: true }));
    } finally {
      client.destroy();
    }
  }

  /** An account of AWS as a tenant of the gateway: somebody who may do everything with roles and identity providers there. */
  async makeAccount(account: string): Promise<{ readonly accessKeyId: string; readonly secretAccessKey: string }> {
    const keys = { accessKeyId: `AK${account}`, secretAccessKey: randomBytes(16).toString("hex") };
    await this.#ceph("radosgw-admin", [
      ...["user", "create", `--tenant=${account}`, "--uid=iam", "--display-name=iam", "--caps=roles=*;oidc-provider=*"],
      ...["--access-key", keys.accessKeyId, "--secret-key", keys.secretAccessKey],
    ]);
    return keys;
  }

  /**
   * Starts one more gateway to the same store, which takes credentials of its STS as well. (It says less of keys that it does not
   * know.) @returns Its address.
   */
  async startTokenGateway(): Promise<string> {
    const port = await freePort();
    const own = join(this.#folder, "run", "tokens");
    const files = [`--pid_file=${own}.pid`, `--admin_socket=${own}.asok`, `--log_file=${own}.log`];
    const settings = ["--rgw_s3_auth_use_sts=true", `--rgw_frontends=beast endpoint=127.0.0.1:${port}`];
    await this.#ceph("radosgw", ["-n", "client.rgw", ...settings, ...files]);
    await listening(port);
    return `http://127.0.0.1:${port}`;
  }

  /** What is on the disks of an object: without the gateway, which would decrypt it. */
  async stored(key: string): Promise<Buffer> {
    const pool = ["-p", "default.rgw.buckets.data"];
    const names = (await this.#ceph("rados", [...pool, "ls"])).split("\n");
    const parts = names.filter((name) => name.includes(key)).sort();
    const pieces = parts.map(async (name, index) => {
      const file = join(this.#folder, `stored-${index}`);
      await this.#ceph("rados", [...pool, "get", name, file]);
      return readFileSync(file);
    });
    return Buffer.concat(await Promise.all(pieces));
  }

  #ceph(program: CephProgram, args: readonly string[]): Promise<string> {
    return this.#run(program, ["-c", join(this.#folder, "ceph.conf"), ...args]);
  }

  async #run(program: CephProgram, args: readonly string[]): Promise<string> {
    const { stdout } = await promisify(execFile)(requirePeer(program), args, { cwd: this.#folder, timeout: 120_000 });
    return stdout;
  }
}

/** The key for server-side encryption that the gateway knows, as a key management service would. */
export const KMS_KEY_ID = "recordings";

// --- internal ---

type CephProgram =
  | "ceph"
  | "ceph-authtool"
  | "ceph-mgr"
  | "ceph-mon"
  | "ceph-osd"
  | "monmaptool"
  | "rados"
  | "radosgw"
  | "radosgw-admin";

const ACCESS_KEY = "AKTEST";
const SECRET_KEY = "SKTEST";

function configuration(folder: string, fsid: string, ports: { readonly monitor: number; readonly gateway: number }): string {
  return `[global]
fsid = ${fsid}
mon host = [v2:127.0.0.1:${ports.monitor}]
mon initial members = a
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind ipv4 = true
keyring = ${folder}/keyring
run dir = ${folder}/run
admin socket = ${folder}/run/$name.asok
log file = ${folder}/$name.log
pid file = ${folder}/run/$name.pid
auth allow insecure global id reclaim = false
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon warn on pool no redundancy = false
mon allow pool size one = true
mon max pg per osd = 1000
mon data avail warn = 5
osd objectstore = memstore
memstore device bytes = 1073741824
osd data = ${folder}/osd
mon data = ${folder}/mon
mgr data = ${folder}/mgr
[client.rgw]
rgw frontends = beast endpoint=127.0.0.1:${ports.gateway}
rgw data = ${folder}/rgw
rgw dns name = localhost
rgw crypt require ssl = false
rgw sts key = ${randomBytes(8).toString("hex")}
rgw crypt s3 kms backend = testing
rgw crypt s3 kms encryption keys = ${KMS_KEY_ID}=${randomBytes(32).toString("base64")}
`;
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise<void>((resolve) => server.close(() => resolve()));
  return port;
}

async function listening(port: number): Promise<void> {
  for (let tries = 0; tries < 600; tries++) {
    const isOpen = await new Promise<boolean>((resolve) => {
      const socket = connect(port, "127.0.0.1", () => resolve(true)).once("error", () => resolve(false));
      socket.unref().once("connect", () => socket.destroy());
    });
    if (isOpen) return;
    await delay(100);
  }
  throw new Error(`nothing listens on port ${port}`);
}

/** @returns Whether the process was there. */
function signal(pid: number, name: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(pid, name);
  } catch {
    return false;
  }
}
