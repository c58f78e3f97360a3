import { closeSync, openSync } from "node:fs";

/** Whether this process has a controlling terminal, tty(4). Not any more once its window was closed. */
export function hasControllingTerminal(): boolean {
  try {
    closeSync(openSync("/dev/tty", "r"));
    return true;
  } catch {
    return false;
  }
}
