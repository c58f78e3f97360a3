import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { appendFileSync, chmodSync, chownSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { Secret } from "../../core/plugin/secret.js";
import type { PostgresqlSettings } from "../../plugins/storage/postgresql/postgresql-settings.js";
import { eventually } from "../fixtures/eventually.js";
import { freePorts } from "../fixtures/free-ports.js";
import { testAuthority } from "../fixtures/tls.js";
import { requirePeer } from "./require-peer.js";

/** A PostgreSQL server of its own on 127.0.0.1, with TLS and passwords. */
export class RunningPostgresql {
  #process: ChildProcess | null = null;
  #databases = 0;

  private constructor(
    readonly folder: string,
    readonly port: number,
    /** PEM file of the authority of its certificate, which is for `localhost`. */
    readonly caFile: string,
  ) {}

  /** @param options.flushes Whether commits are flushed to disk; default `false`. */
  static async start({ flushes = false }: { readonly flushes?: boolean } = {}): Promise<RunningPostgresql> {
    const folder = mkdtempSync(join(tmpdir(), "mezite-postgresql-"));
    const [port = 0] = await freePorts(1);
    const data = join(folder, "data");
    writeFileSync(join(folder, "password"), PASSWORD);
    give(folder);
    run("initdb", [
      "-D",
      data,
      "-U",
      "postgres",
      "-E",
      "UTF8",
      "--locale=C.UTF-8",
      "--no-sync",
      "-A",
      "scram-sha-256",
      `--pwfile=${join(folder, "password")}`,
    ]);
    const authority = await testAuthority();
    const leaf = await authority.issue("localhost");
    const file = (name: string) => join(folder, name);
    writeFileSync(file("ca.pem"), authority.certificatePem);
    writeFileSync(file("server.pem"), leaf.certificatePem);
    writeFileSync(file("server.key"), leaf.privateKeyPem.expose());
    chmodSync(file("server.key"), 0o600);
    for (const name of ["server.pem", "server.key"]) give(file(name));
    const settings = {
      listen_addresses: "127.0.0.1",
      port: `${port}`,
      unix_socket_directories: folder,
      fsync: flushes ? "on" : "off",
      ssl: "on",
      ssl_cert_file: file("server.pem"),
      ssl_key_file: file("server.key"),
      max_connections: "60",
      shared_buffers: "32MB",
    };
    writeFileSync(
      join(data, "postgresql.auto.conf"),
      Object.entries(settings)
        .map(([name, value]) => `${name} = '${value}'\n`)
        .join(""),
    );
    const server = new RunningPostgresql(folder, port, file("ca.pem"));
    await server.resume();
    server.sql("postgres", `create role mezite login password '${PASSWORD}'`);
    return server;
  }

  /** Makes an empty database, and says how to reach it. */
  database(more: Partial<PostgresqlSettings> = {}): PostgresqlSettings {
    this.#databases += 1;
    const database = `mezite${this.#databases}`;
    this.sql("postgres", `create database ${database} owner mezite`);
    return {
      servers: [{ host: "127.0.0.1", port: this.port }],
      database,
      user: "mezite",
      password: new Secret(PASSWORD),
      sslMode: "disable",
      caFile: null,
      certificate: null,
      poolSize: 5,
      connectSeconds: 5,
      statementSeconds: 15,
      idleTransactionSeconds: 5,
      listen: true,
      ...more,
    };
  }

  /** Runs statements as the superuser; one row a line, columns with `|` between them. */
  sql(database: string, text: string): string {
    const at = ["-h", "127.0.0.1", "-p", `${this.port}`, "-U", "postgres", "-d", database];
    return run("psql", ["-XAtq", "-v", "ON_ERROR_STOP=1", ...at, "-c", text], { PGPASSWORD: PASSWORD }).trim();
  }

  /** Starts it, again after `stop` or `kill`. */
  async resume(): Promise<void> {
    const data = join(this.folder, "data");
    this.#process = spawn(program("postgres"), ["-D", data], { stdio: "ignore", ...asServer() });
    await eventually(() => this.sql("postgres", "select 1") === "1");
  }

  async stop(): Promise<void> {
    await this.#end("SIGINT"); // "fast": clients are cut off, everything is written
  }

  /**
   * Every process of it at once, as when the machine goes.
   * @param signal `SIGKILL` is for the first of them, which the others do not outlive.
   */
  async kill(signal: "SIGQUIT" | "SIGKILL" = "SIGQUIT"): Promise<void> {
    await this.#end(signal); // SIGQUIT is "immediate"
  }

  /** Starts a standby. From then on each commit here waits until the standby has it. */
  async standby(): Promise<RunningPostgresql> {
    const folder = mkdtempSync(join(tmpdir(), "mezite-postgresql-"));
    give(folder);
    const [port = 0] = await freePorts(1);
    const data = join(folder, "data");
    const from = ["-h", "127.0.0.1", "-p", `${this.port}`, "-U", "postgres"];
    run("pg_basebackup", [...from, "-D", data, "-R", "-c", "fast", "--no-sync"], { PGPASSWORD: PASSWORD });
    appendFileSync(join(data, "postgresql.auto.conf"), `port = '${port}'\nunix_socket_directories = '${folder}'\n`);
    const standby = new RunningPostgresql(folder, port, this.caFile);
    await standby.resume();
    this.sql("postgres", "alter system set synchronous_standby_names = '*'");
    this.sql("postgres", "select pg_reload_conf()");
    await eventually(() => this.sql("postgres", "select sync_state from pg_stat_replication") === "sync");
    return standby;
  }

  /** Makes a standby the primary. */
  promote(): void {
    run("pg_ctl", ["promote", "-w", "-D", join(this.folder, "data")]);
  }

  async close(): Promise<void> {
    await this.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#process;
    this.#process = null;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, "exit");
    child.kill(signal);
    await gone;
  }
}

/** A pgbouncer in transaction mode in front of a server. */
export class RunningPgbouncer {
  private constructor(
    private readonly process: ChildProcess,
    private readonly folder: string,
    readonly port: number,
  ) {}

  static async start(server: RunningPostgresql): Promise<RunningPgbouncer> {
    const folder = mkdtempSync(join(tmpdir(), "mezite-pgbouncer-"));
    const [port = 0] = await freePorts(1);
    writeFileSync(join(folder, "users.txt"), `"mezite" "${PASSWORD}"\n`);
    const lines = [
      "[databases]",
      `* = host=127.0.0.1 port=${server.port}`,
      "[pgbouncer]",
      "listen_addr = 127.0.0.1",
      `listen_port = ${port}`,
      "unix_socket_dir =",
      "auth_type = scram-sha-256",
      `auth_file = ${join(folder, "users.txt")}`,
      "pool_mode = transaction",
      "default_pool_size = 8",
    ];
    writeFileSync(join(folder, "pgbouncer.ini"), `${lines.join("\n")}\n`);
    for (const path of [folder, ...["users.txt", "pgbouncer.ini"].map((name) => join(folder, name))]) give(path);
    const child = spawn(requirePeer("pgbouncer"), ["-q", join(folder, "pgbouncer.ini")], { stdio: "ignore", ...asServer() });
    await eventually(
      () =>
        run("psql", ["-XAtq", "-h", "127.0.0.1", "-p", `${port}`, "-U", "mezite", "-d", "postgres", "-c", "select 1"], {
          PGPASSWORD: PASSWORD,
        }).trim() === "1",
    );
    return new RunningPgbouncer(child, folder, port);
  }

  async close(): Promise<void> {
    if (this.process.exitCode === null && this.process.signalCode === null) {
      const gone = once(this.process, "exit");
      this.process.kill("SIGKILL");
      await gone;
    }
    rmSync(this.folder, { recursive: true, force: true });
  }
}

// --- internal ---

const PASSWORD = "of the database";

function program(name: string): string {
  return join(dirname(requirePeer("postgres")), name);
}

/** PostgreSQL refuses to be root; its package brings a user. */
function asServer(): { readonly uid?: number; readonly gid?: number } {
  if (process.getuid?.() !== 0) return {};
  const id = (flag: string) => Number(execFileSync("id", [flag, "postgres"], { encoding: "utf8" }));
  return { uid: id("-u"), gid: id("-g") };
}

function give(path: string): void {
  const { uid, gid } = asServer();
  if (uid !== undefined && gid !== undefined) chownSync(path, uid, gid);
}

function run(name: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): string {
  return execFileSync(program(name), args, {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
    cwd: "/",
    env: { ...process.env, ...env },
    ...asServer(),
  });
}
