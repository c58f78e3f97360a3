import type { Socket } from "node:net";
import type { DirectLogin } from "./direct-login.js";
import { notBySsh, passSocket } from "./pass-socket.js";
import type { Target } from "./reach-node.js";

/*
 * msh __connect <folder of the login> <host> <port> [<socket of the agent>]
 *
 * What ssh runs for every session: it starts without the other commands of msh, and the build puts it into one file,
 * dist/cli/msh/connect.cjs.
 */
void main(process.argv.slice(3)).then((code) => process.exit(code));

async function main([folder, host, port, agentSocket]: readonly string[]): Promise<number> {
  try {
    if (process.send === undefined || folder === undefined || host === undefined || !/^\d+$/.test(port ?? "")) throw notBySsh();
    const [{ readLogin }, { reachNode }] = await Promise.all([import("./direct-login.js"), import("./reach-node.js")]);
    const target = { host, port: Number(port) };
    const login = await readLogin(folder, agentSocket);
    await passSocket((await reachNode(login, target)) ?? (await jump(login, target, agentSocket)));
    return 0;
  } catch (error) {
    const { reportFailure } = await import("../../../core/cli/failure.js");
    return reportFailure("msh", error, process);
  }
}

async function jump(login: DirectLogin, target: Target, agentSocket: string | undefined): Promise<Socket> {
  const { jumpBySsh } = await import("./jump-by-ssh.js");
  return jumpBySsh(login, target, agentSocket);
}
