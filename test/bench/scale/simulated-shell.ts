import type { Duplex } from "node:stream";
import type { HostCredentials } from "../../../core/plugin/host-identity.js";
import { parsePrivateKey } from "../../../core/ssh/private-key.js";
import { createSshServer, type SshServer } from "../../../core/ssh/server.js";
import type { SshProgram } from "../../../core/ssh/server-session.js";
import type { TunnelStreamInfo } from "../../../core/tunnel/stream-headers.js";

/** An agent's SSH server that knows `true`, and a terminal that shows what is typed. It lets in whoever the proxy let through. */
export class SimulatedShell {
  readonly #server: Promise<SshServer<string>>;

  constructor(credentials: Promise<HostCredentials>) {
    this.#server = sshServerOf(credentials);
  }

  serve(stream: Duplex, { clientAddress, clientPort }: TunnelStreamInfo): void {
    stream.on("error", () => undefined);
    void this.#server.then((server) => server.serve(stream, { remoteAddress: clientAddress, remotePort: clientPort }));
  }
}

// --- internal ---

async function sshServerOf(credentials: Promise<HostCredentials>): Promise<SshServer<string>> {
  const { sshPrivateKey, sshCertificate } = await credentials;
  const hostKeys = [{ key: parsePrivateKey(sshPrivateKey.expose()), certificateBlob: sshCertificate }];
  return createSshServer<string>({
    hostKeys: () => hostKeys,
    authenticate: async (attempt) => (attempt.method === "publickey" ? { accept: attempt.user } : { reject: null }),
    onConnection: (connection) =>
      connection.handle({ session: (session) => session.handle({ terminal: () => true, environment: () => true, start: run }) }),
  });
}

function run(program: SshProgram): void {
  const channel = program.accept();
  if (channel === null) return;
  const end = (): void => {
    channel.exit(0);
    channel.end();
  };
  if (program.kind === "exec") return end();
  channel.on("data", (typed: Buffer) => void channel.write(Buffer.from(typed))).once("end", end);
}
