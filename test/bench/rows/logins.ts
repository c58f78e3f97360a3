import type { Route } from "../bench-bed.js";
import { runProgram } from "../client-process.js";
import { type Row, ratioOf, withUnit } from "../figure.js";
import { alternate, timed } from "../statistics.js";

const AT_ONCE = 8;
const GOAL = 0.7;

/** Whole runs of the OpenSSH client: key exchanges, certificates and `true`, through the proxy to the node. */
export const logins: Row = {
  name: "logins",
  summary: "login by certificate and `true`, one at a time and 8 at once, against ssh -J",
  async measure(bed, { rounds }) {
    const [ours, theirs] = [await bed.ours(), await bed.theirs()];
    await logIn(ours);
    await logIn(theirs);
    const single = await alternate(
      rounds * 3,
      () => logIn(ours),
      () => logIn(theirs),
    );
    const several = await alternate(
      rounds,
      () => timed(() => Promise.all(Array.from({ length: AT_ONCE }, () => logIn(ours)))),
      () => timed(() => Promise.all(Array.from({ length: AT_ONCE }, () => logIn(theirs)))),
    );
    const show = (milliseconds: number) => withUnit(milliseconds, "ms");
    return [
      ratioOf("login and true, one at a time", single, show, GOAL, "at most"),
      ratioOf(`login and true, ${AT_ONCE} at once`, several, show, GOAL, "at most"),
    ];
  },
};

// --- internal ---

function logIn({ config, destination }: Route): Promise<number> {
  return runProgram("ssh", ["-F", config, destination, "true"]);
}
