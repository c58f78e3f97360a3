import { readdirSync } from "node:fs";
import { constants, setPriority } from "node:os";

/**
 * Has a process take processor time only where nobody else wants it, with all the threads that it has.
 * @throws {Error} on systems without `/proc`
 */
export function yieldToOthers(pid: number): void {
  for (const thread of readdirSync(`/proc/${pid}/task`)) setPriority(Number(thread), constants.priority.PRIORITY_LOW);
}
