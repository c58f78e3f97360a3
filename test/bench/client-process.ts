import { type ChildProcess, type SpawnOptions, spawn } from "node:child_process";
import { performance } from "node:perf_hooks";

/**
 * Runs a program to its end.
 * @returns Milliseconds from its start to its exit.
 * @throws {Error} with what it said when it fails.
 */
export function runProgram(program: string, args: readonly string[], options: SpawnOptions = {}): Promise<number> {
  const start = performance.now();
  const child = spawn(program, [...args], { ...options, stdio: options.stdio ?? ["ignore", "ignore", "pipe"] });
  return finished(child, `${program} ${args.join(" ")}`).then(() => performance.now() - start);
}

/** @throws {Error} with what it wrote to stderr, when it does not end with 0. */
export function finished(child: ChildProcess, what: string): Promise<void> {
  let complaint = "";
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    complaint += text;
  });
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, signal) => {
      if (code === 0) resolve();
      else reject(new Error(`${what} ended with ${code ?? signal}: ${complaint.trim()}`));
    });
  });
}
