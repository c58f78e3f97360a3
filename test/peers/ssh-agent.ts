import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { eventually } from "../fixtures/eventually.js";

/** OpenSSH's agent at a socket. */
export async function startSshAgent(path: string): Promise<{ readonly path: string; stop(): Promise<void> }> {
  const agent = spawn("ssh-agent", ["-D", "-a", path], { stdio: "ignore" });
  const exited = once(agent, "exit");
  await eventually(() => existsSync(path));
  return {
    path,
    stop: async () => {
      agent.kill();
      await exited;
    },
  };
}
