import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually } from "../fixtures/eventually.js";
import { freePorts } from "../fixtures/free-ports.js";
import { testAuthority } from "../fixtures/tls.js";
import { requirePeer } from "./require-peer.js";

export type SyslogProtocol = "unix" | "udp" | "tcp" | "tls";

/** What rsyslog understood of a message. */
export interface ReceivedMessage {
  readonly priority: string;
  readonly host: string;
  readonly application: string;
  readonly messageId: string;
  readonly text: string;
}

/** An rsyslog that listens for one protocol and writes down what it understood. */
export class RunningRsyslog {
  #process: ChildProcess | null = null;

  private constructor(
    private readonly folder: string,
    /** As `forward.syslog` takes it. */
    readonly address: string,
    /** The authority of its certificate, for `tls`. */
    readonly caFile: string,
    private readonly port: number,
  ) {}

  static async start(protocol: SyslogProtocol): Promise<RunningRsyslog> {
    const folder = mkdtempSync(join(tmpdir(), "mezite-rsyslog-"));
    const port = protocol === "unix" ? 0 : ((await freePorts(1))[0] as number);
    const file = (name: string) => join(folder, name);
    if (protocol === "tls") {
      const authority = await testAuthority();
      const { certificatePem, keyPem } = await pemOf(authority);
      writeFileSync(file("ca.pem"), authority.certificatePem);
      writeFileSync(file("server.pem"), certificatePem);
      writeFileSync(file("server.key"), keyPem, { mode: 0o600 });
    }
    writeFileSync(file("rsyslog.conf"), configOf(protocol, port, file));
    const address = protocol === "unix" ? `unix:${file("log")}` : `${protocol}://localhost:${port}`;
    const server = new RunningRsyslog(folder, address, protocol === "tls" ? file("ca.pem") : "", port);
    await server.resume();
    return server;
  }

  /** Listens; after `pause` at the same place. */
  async resume(): Promise<void> {
    const [conf, pid] = [join(this.folder, "rsyslog.conf"), join(this.folder, "pid")];
    this.#process = spawn(requirePeer("rsyslogd"), ["-n", "-f", conf, "-i", pid], { stdio: "ignore" });
    await eventually(() => (this.address.startsWith("unix:") ? existsSync(this.address.slice(5)) : this.#isListening()));
  }

  async pause(): Promise<void> {
    const child = this.#process;
    this.#process = null;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, "exit");
    child.kill("SIGTERM");
    await gone;
    if (this.address.startsWith("unix:")) rmSync(this.address.slice(5), { force: true });
  }

  get received(): readonly ReceivedMessage[] {
    const path = join(this.folder, "received");
    const lines = existsSync(path) ? readFileSync(path, "utf8").split("\n").slice(0, -1) : [];
    return lines.map((line) => {
      const [priority = "", host = "", application = "", messageId = "", ...text] = line.split(" ");
      return { priority, host, application, messageId, text: text.join(" ").trim() };
    });
  }

  async close(): Promise<void> {
    await this.pause();
    rmSync(this.folder, { recursive: true, force: true });
  }

  async #isListening(): Promise<boolean> {
    if (this.address.startsWith("udp:"))
      return readFileSync("/proc/net/udp", "utf8").includes(`:${this.port.toString(16).toUpperCase().padStart(4, "0")} `);
    const socket = connect(this.port, "127.0.0.1");
    try {
      await once(socket, "connect");
      return true;
    } finally {
      socket.destroy();
    }
  }
}

// --- internal ---

async function pemOf(authority: Awaited<ReturnType<typeof testAuthority>>) {
  const leaf = await authority.issue("localhost");
  return { certificatePem: leaf.certificatePem, keyPem: leaf.privateKeyPem.expose() };
}

function configOf(protocol: SyslogProtocol, port: number, file: (name: string) => string): string {
  const format = "%pri% %hostname% %app-name% %msgid% %msg%\\n";
  const input = {
    unix: `module(load="imuxsock" SysSock.Use="off")\ninput(type="imuxsock" Socket="${file("log")}" RateLimit.Interval="0")`,
    udp: `module(load="imudp")\ninput(type="imudp" port="${port}" address="127.0.0.1")`,
    tcp: `module(load="imtcp")\ninput(type="imtcp" port="${port}")`,
    tls: `module(load="imtcp" StreamDriver.Name="ossl" StreamDriver.Mode="1" StreamDriver.AuthMode="anon")\ninput(type="imtcp" port="${port}")`,
  }[protocol];
  const tls = `DefaultNetstreamDriverCAFile="${file("ca.pem")}" DefaultNetstreamDriverCertFile="${file("server.pem")}" DefaultNetstreamDriverKeyFile="${file("server.key")}"`;
  return `global(workDirectory="${file(".")}" maxMessageSize="256k" ${protocol === "tls" ? tls : ""})
${input}
template(name="plain" type="string" string="${format}")
action(type="omfile" file="${file("received")}" template="plain" flushOnTXEnd="on")
`;
}
