import { connect } from "node:net";
import { parseAddress } from "./stream-dialer.js";

/**
 * Whether the process behind `address` still closes connections that their clients have closed. That of a proxy that is busy does,
 * whatever its agents wait for; for one that hangs, its system takes connections and nobody closes them.
 * @returns `false` when nothing comes within `timeoutMs`, or when there is no connection
 */
export function closesWhatEnds(address: string, timeoutMs: number, signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ ...parseAddress(address), allowHalfOpen: true, signal });
    let isTaken = false;
    const answer = (closes: boolean): void => {
      clearInterval(timer);
      resolve(closes);
      socket.destroy();
    };
    let steps = 0;
    // In steps: a process that stood still itself reads what has come meanwhile before it judges another.
    const timer = setInterval(() => {
      steps += 1;
      if (steps === STEPS) answer(false);
    }, timeoutMs / STEPS);
    socket.once("connect", () => {
      isTaken = true;
      socket.end();
    });
    socket.on("error", () => answer(isTaken)).once("end", () => answer(true));
    socket.resume();
  });
}

// --- internal ---

const STEPS = 10;
