import { chmod, chown, mkdtemp, rm } from "node:fs/promises";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { SshServerConnection } from "../../core/ssh/server-connection.js";
import { relay } from "../../core/tunnel/relay.js";
import type { NodeLogin } from "./session-door.js";
import { isRoot } from "./user-rights.js";

/**
 * A unix socket that leads to the `ssh-agent` beside the client. It belongs to the login and nobody else may connect;
 * as root, its folder stays ours, so that no one can put something else in its place.
 */
export class AgentSocket {
  private constructor(
    readonly path: string,
    private readonly folder: string,
    private readonly server: Server,
  ) {}

  static async open(connection: SshServerConnection<NodeLogin>): Promise<AgentSocket> {
    const { uid, gid } = connection.identity.account;
    const folder = await mkdtemp(join(tmpdir(), "mezite-agent-"));
    const path = join(folder, "agent");
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) => {
      socket.on("error", () => undefined);
      connection.openAgentChannel().then(
        (channel) => void relay(socket, channel),
        () => socket.destroy(),
      );
    });
    await new Promise<void>((resolve, reject) => server.once("error", reject).listen(path, resolve));
    await chmod(path, 0o600);
    if (isRoot()) {
      await chown(path, uid, gid);
      await chmod(folder, 0o711);
    }
    return new AgentSocket(path, folder, server);
  }

  async close(): Promise<void> {
    this.server.close();
    await rm(this.folder, { recursive: true, force: true });
  }
}
