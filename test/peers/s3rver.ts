import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { Secret } from "../../core/plugin/secret.js";
import type { S3Settings } from "../../plugins/s3/s3-settings.js";
import { freePorts } from "../fixtures/free-ports.js";

/** A small S3 server with an empty bucket `rec`: no object lock and no versions, but quick. */
export class RunningS3rver {
  readonly #directory = mkdtempSync(join(tmpdir(), "mezite-s3rver-"));
  #process: ChildProcess | null = null;

  constructor(private readonly port: number) {}

  get settings(): S3Settings {
    return {
      ...{ bucket: "rec", region: "us-east-1", endpoint: `http://127.0.0.1:${this.port}`, usesPathStyle: true },
      credentials: { accessKeyId: "S3RVER", secretAccessKey: new Secret("S3RVER") },
      ...{ encryption: null, lock: null },
    };
  }

  /** Listens; after `pause` at the same port, with everything that it held. */
  async resume(): Promise<void> {
    const place = ["-d", this.#directory, "-a", "127.0.0.1", "-p", String(this.port)];
    const child = spawn(process.execPath, [PROGRAM, ...place, "--configure-bucket", "rec"], {
      stdio: ["ignore", "pipe", "ignore"],
    });
    this.#process = child;
    const lines = createInterface(child.stdout as NodeJS.ReadableStream);
    for await (const line of lines) {
      if (!/listening on .*:\d+$/i.test(line)) continue;
      child.stdout?.resume();
      return;
    }
    throw new Error("s3rver did not start");
  }

  /** Nobody answers at its port any more. */
  async pause(): Promise<void> {
    const child = this.#process;
    this.#process = null;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, "exit");
    child.kill("SIGKILL");
    await gone;
  }

  async close(): Promise<void> {
    await this.pause();
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

/** Starts one on a port of its own. */
export async function startS3rver(): Promise<RunningS3rver> {
  const [port = 0] = await freePorts(1);
  const server = new RunningS3rver(port);
  await server.resume();
  return server;
}

/** Section `plugins` of a config file, for recordings in its bucket. */
export function pluginsForBucket({ settings }: RunningS3rver) {
  const { bucket, endpoint, credentials } = settings;
  return {
    s3: {
      config: {
        bucket,
        endpoint,
        access_key_id: credentials?.accessKeyId,
        secret_access_key: credentials?.secretAccessKey.expose(),
      },
    },
    "recording.s3": { enabled: true },
  };
}

// --- internal ---

const PROGRAM = createRequire(import.meta.url).resolve("s3rver/bin/s3rver.js");
