import { readFileSync } from "node:fs";
import { join } from "node:path";
import { readLogin } from "../../../cli/msh/connect/direct-login.js";
import { reachNode } from "../../../cli/msh/connect/reach-node.js";
import { ProfileStore } from "../../../cli/msh/profile-store.js";
import { parseCertificateLine } from "../../../core/ssh/certificate.js";
import { connectSsh } from "../../../core/ssh/client.js";
import { exitOf } from "../../../core/ssh/client-connection.js";
import { parseKnownHosts, trustedKeysFor } from "../../../core/ssh/known-hosts.js";
import { parsePrivateKey } from "../../../core/ssh/private-key.js";
import type { Cluster } from "../../fixtures/cluster.js";

/** A person's SSH client that is running already: it opens sessions by the direct route, as `msh` and OpenSSH do together. */
export class RunningClient {
  private constructor(
    private readonly node: string,
    private readonly login: Awaited<ReturnType<typeof readLogin>>,
    private readonly credentials: Omit<Parameters<typeof connectSsh>[0], "to">,
  ) {}

  /** With what `msh login` has left in the first administrator's home. */
  static async of(cluster: Cluster, node: string): Promise<RunningClient> {
    const store = new ProfileStore(join(cluster.home, ".mezite"));
    const profile = store.current();
    if (profile === null) throw new Error("nobody is logged in");
    const files = store.filesOf(profile.cluster);
    const { authorities } = trustedKeysFor(parseKnownHosts(readFileSync(files.knownHosts, "utf8")), node);
    return new RunningClient(node, await readLogin(files.folder, undefined), {
      user: cluster.login,
      key: parsePrivateKey(readFileSync(files.identity, "utf8")),
      certificateBlob: parseCertificateLine(readFileSync(files.certificate, "utf8")).blob,
      hostTrust: { authorities, name: node, now: () => new Date() },
    });
  }

  /** From the TCP connection to its end: TLS and the proxy's word, key exchange and certificate at the node, `true`, its exit status. */
  async session(): Promise<void> {
    const socket = await reachNode(this.login, { host: this.node, port: 22 });
    if (socket === null) throw new Error("the proxy does not let clients go directly");
    const connection = await connectSsh({ ...this.credentials, to: socket });
    const channel = await connection.exec("true", { environment: { SHLVL: "1" } }); // see Cluster.environment
    channel.resume();
    const { code } = await exitOf(channel);
    connection.close();
    await connection.closed;
    if (code !== 0) throw new Error(`true ended with ${code}`);
  }
}
