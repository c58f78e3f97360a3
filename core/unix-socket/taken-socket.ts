import { lstatSync } from "node:fs";
import { connect } from "node:net";

/** Tells whether something is at a path that is not the socket of a process that has ended. */
export async function isTaken(path: string): Promise<boolean> {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return false;
  return !found.isSocket() || (await isAnswered(path));
}

// --- internal ---

function isAnswered(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", ({ code }: NodeJS.ErrnoException) => resolve(code !== "ECONNREFUSED" && code !== "ENOENT"));
  });
}
