import type { Route } from "../bench-bed.js";
import { runProgram } from "../client-process.js";
import { type Effort, type Figure, type Row, ratioOf, withUnit } from "../figure.js";
import { alternate, timed } from "../statistics.js";

const AT_ONCE = 8;
const GOAL = 0.7;
const NO_GOAL = Number.POSITIVE_INFINITY;

/** Whole runs of the OpenSSH client: key exchanges, certificates and `true`, through the proxy to the node. */
export const logins: Row = {
  name: "logins",
  summary: "login by certificate and `true`, one at a time and 8 at once, against ssh -J",
  async measure(bed, effort) {
    const theirs = await bed.theirs();
    return [
      ...(await measureLogins("login and true", await bed.ours(), theirs, effort, GOAL)),
      ...(await measureLogins("login and true by ProxyJump", await bed.jumping(), theirs, effort, NO_GOAL)),
    ];
  },
};

/** Logins one at a time, and several at once. @param goal At most this ratio. */
export async function measureLogins(
  what: string,
  ours: Route,
  theirs: Route,
  { rounds }: Effort,
  goal: number,
): Promise<readonly Figure[]> {
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
    ratioOf(`${what}, one at a time`, single, show, goal, "at most"),
    ratioOf(`${what}, ${AT_ONCE} at once`, several, show, goal, "at most"),
  ];
}

// --- internal ---

function logIn({ config, destination }: Route): Promise<number> {
  return runProgram("ssh", ["-F", config, destination, "true"]);
}
