import type { ChildProcess } from "node:child_process";
import { readFileSync } from "node:fs";

/**
 * Resident memory of a process in KiB, as `ps` shows it.
 * @throws {Error} on systems without `/proc`.
 */
export function residentKib({ pid }: ChildProcess): number {
  const line = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"));
  return Number(line?.[1]);
}
