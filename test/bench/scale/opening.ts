import { runProgram } from "../client-process.js";
import { type Figure, noted, ratioOf, withUnit } from "../figure.js";
import { alternate, type Sides } from "../statistics.js";
import { agentName } from "./fleet-protocol.js";
import type { ScaleBed } from "./scale-bed.js";

/** Whole runs of the OpenSSH client to agents at random, in turns with runs in a cluster that has a single agent. */
export async function measureOpening(many: ScaleBed, one: ScaleBed, agents: number, rounds: number): Promise<readonly Figure[]> {
  await logIn(many, 0);
  await logIn(one, 0);
  let sides: Sides = { ours: [], theirs: [] };
  const load = await many.cpuSecondsOf(async () => {
    sides = await alternate(
      rounds,
      () => logIn(many, Math.floor(Math.random() * agents)),
      () => logIn(one, 0),
    );
  });
  return [
    ratioOf("login and true, to any agent", sides, (milliseconds) => withUnit(milliseconds, "ms"), 1.2, "at most"),
    noted("processor time of the proxy for one login, with what else it does", (load.proxy * 1000) / rounds, "ms"),
  ];
}

/** Milliseconds of one login with `true`. */
export function logIn({ cluster }: ScaleBed, index: number): Promise<number> {
  return runProgram("ssh", ["-F", cluster.sshConfig(), `${cluster.login}@${agentName(index)}`, "true"]);
}
