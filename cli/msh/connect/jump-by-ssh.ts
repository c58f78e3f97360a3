import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MezError } from "../../../core/errors/error.js";
import { systemReason } from "../../../core/errors/system-reason.js";
import { proxyHostName } from "../proxy-host-name.js";
import type { DirectLogin } from "./direct-login.js";
import { personEnvironment } from "./person-environment.js";
import type { Target } from "./reach-node.js";

/**
 * Has another ssh log in to the proxy and open the way to the node, as `ProxyJump` does. It may ask the person for a second
 * factor, and outlives this program. It checks the proxy's host key and logs in for itself, so nothing is lost by coming here.
 * @param agentSocket Of the agent that holds the key, in place of a file.
 * @returns The connection that it serves.
 * @throws {MezError} `PROGRAM_MISSING`
 */
export async function jumpBySsh(
  { folder, profile }: DirectLogin,
  { host, port }: Target,
  agentSocket: string | undefined,
): Promise<Socket> {
  const [near, far] = await socketPair();
  const keys =
    agentSocket === undefined ? [] : ["-o", `IdentityAgent="${agentSocket.replaceAll("%", "%%")}"`, "-o", "IdentitiesOnly=no"];
  const words = ["-F", join(folder, "ssh_config"), ...keys, "-W", `[${host}]:${port}`, "--", proxyHostName(profile.cluster)];
  // In this process group: a terminal answers to no other.
  const ssh = spawn("ssh", words, { stdio: [far, far, "inherit"], env: personEnvironment() });
  try {
    await once(ssh, "spawn");
  } catch (cause) {
    throw new MezError("PROGRAM_MISSING", `ssh cannot be started: ${systemReason(cause)}`, {
      fields: { hint: "install the OpenSSH client" },
    });
  }
  ssh.unref();
  far.destroy();
  return near;
}

// --- internal ---

/** Two connected sockets, by way of a name that nobody else can reach, and that is gone at once. */
async function socketPair(): Promise<[Socket, Socket]> {
  const folder = mkdtempSync(join(tmpdir(), "mezite-")); // mode 0700
  try {
    const server = createServer({ pauseOnConnect: true }).listen(join(folder, "s"));
    await once(server, "listening");
    const near = connect(join(folder, "s")).pause(); // what comes is for ssh
    const [[far]] = await Promise.all([once(server, "connection") as Promise<[Socket]>, once(near, "connect")]);
    server.close();
    return [near, far];
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
