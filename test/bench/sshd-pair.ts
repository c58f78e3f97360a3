import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { appendFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { freePorts } from "../fixtures/free-ports.js";

const SSHD = ["/usr/sbin/sshd", "/usr/local/sbin/sshd"].find((path) => existsSync(path)) ?? "/usr/sbin/sshd";

/** Two OpenSSH servers on loopback, the second reached through the first, with a user CA and a host CA. */
export class SshdPair {
  readonly folder = mkdtempSync(join(tmpdir(), "mezite-sshd-"));
  readonly login = userInfo().username;
  readonly #servers: ChildProcess[] = [];
  #ports: readonly number[] = [];

  static async start(): Promise<SshdPair> {
    const pair = new SshdPair();
    try {
      pair.#makeKeys();
      pair.#ports = await freePorts(2);
      for (const [index, port] of pair.#ports.entries()) await pair.#serve(`server${index}`, port);
    } catch (error) {
      await pair.stop();
      throw error;
    }
    return pair;
  }

  /** For `ssh -F`: host `inner` is reached through host `outer`. */
  get clientConfig(): string {
    const [outer, inner] = this.#ports;
    return `Host outer
  Port ${outer}
Host inner
  Port ${inner}
  ProxyJump outer
Host *
  HostName 127.0.0.1
  User ${this.login}
  IdentityFile ${this.folder}/user
  CertificateFile ${this.folder}/user-cert.pub
  IdentitiesOnly yes
  PreferredAuthentications publickey
  UserKnownHostsFile ${this.folder}/known_hosts
  GlobalKnownHostsFile /dev/null
  StrictHostKeyChecking yes
  UpdateHostKeys no
  CheckHostIP no
`;
  }

  /** Where the second server listens. */
  get innerPort(): number {
    return this.#ports[1] ?? 0;
  }

  /** Has both servers trust another user CA as well. @param keys Lines for `TrustedUserCAKeys`. */
  trust(keys: string): void {
    appendFileSync(join(this.folder, "user_ca.pub"), keys);
  }

  async stop(): Promise<void> {
    for (const server of this.#servers) {
      const exited = server.exitCode === null ? once(server, "exit") : null;
      server.kill("SIGTERM");
      await exited;
    }
    rmSync(this.folder, { recursive: true, force: true });
  }

  #makeKeys(): void {
    const keygen = (...args: readonly string[]) => execFileSync("ssh-keygen", ["-q", ...args], { cwd: this.folder });
    for (const name of ["user_ca", "host_ca", "host", "user"]) keygen("-t", "ed25519", "-N", "", "-f", name);
    keygen("-s", "host_ca", "-I", "host", "-h", "-n", "127.0.0.1,inner,outer", "-V", "-5m:+1d", "host.pub");
    keygen("-s", "user_ca", "-I", "user", "-n", this.login, "-V", "-5m:+1d", "user.pub");
    const authority = readFileSync(join(this.folder, "host_ca.pub"), "utf8");
    writeFileSync(join(this.folder, "known_hosts"), `@cert-authority * ${authority}`);
  }

  async #serve(name: string, port: number): Promise<void> {
    const { folder } = this;
    const config = join(folder, `${name}_config`);
    writeFileSync(
      config,
      `ListenAddress 127.0.0.1:${port}
HostKey ${folder}/host
HostCertificate ${folder}/host-cert.pub
TrustedUserCAKeys ${folder}/user_ca.pub
AuthorizedKeysFile none
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
UsePAM no
PidFile none
StrictModes no
MaxStartups 100
PrintMotd no
AcceptEnv SHLVL
Subsystem sftp internal-sftp
`,
    );
    if (process.getuid?.() === 0) mkdirSync("/run/sshd", { recursive: true, mode: 0o755 });
    const server = spawn(SSHD, ["-D", "-e", "-f", config], { stdio: "ignore" });
    this.#servers.push(server);
    await listening(port, server);
  }
}

// --- internal ---

async function listening(port: number, server: ChildProcess): Promise<void> {
  for (let attempt = 0; attempt < 200 && server.exitCode === null; attempt += 1) {
    const isOpen = await new Promise<boolean>((resolve) => {
      const socket = connect(port, "127.0.0.1");
      socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
      socket.once("connect", () => socket.destroy());
    });
    if (isOpen) return;
    await sleep(20);
  }
  throw new Error(`sshd does not listen on port ${port}; is the OpenSSH server installed?`);
}
