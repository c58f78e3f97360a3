import type { Row } from "../figure.js";
import { measureLogins } from "./logins.js";
import { measureTransfers } from "./throughput.js";

/** A node without an agent: the same `sshd`, through our proxy and through another `sshd`. */
export const agentless: Row = {
  name: "agentless",
  summary: "logins and throughput to an sshd without an agent, against ssh -J to the same sshd",
  async measure(bed, effort) {
    const [ours, theirs] = [await bed.agentless(), await bed.theirs()];
    return [
      ...(await measureLogins("agentless: login and true", ours, theirs, effort, LOGIN_GOAL)),
      ...(await measureTransfers("agentless: ", ours, theirs, effort, THROUGHPUT_GOAL)),
    ];
  },
};

// --- internal ---

const LOGIN_GOAL = 0.8;
const THROUGHPUT_GOAL = 1;
