import { EXIT_CODES } from "./exit-codes.js";
import { write } from "./output.js";
import type { ProgramIo } from "./program-io.js";

/**
 * Runs work that Ctrl-C and SIGTERM can stop. The first aborts the signal and leaves the work `graceSeconds` to end;
 * the second ends it at once. A reader of standard output that goes away ends it too, without a word.
 * @returns The work's own exit code, or that of the interruption when the work failed because of it or ran out of time.
 */
export async function runInterruptibly(
  io: ProgramIo,
  graceSeconds: number,
  work: (signal: AbortSignal) => Promise<number>,
): Promise<number> {
  const controller = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  let stopCode: number = EXIT_CODES.interrupted;
  let unlisten = (): void => {};
  let onOutputError = (_error: NodeJS.ErrnoException): void => {};
  const stopped = new Promise<number>((resolve) => {
    unlisten = io.onStop((name) => {
      if (controller.signal.aborted) return resolve(stopCode);
      stopCode = name === "SIGTERM" ? EXIT_CODES.terminated : EXIT_CODES.interrupted;
      timer = setTimeout(() => resolve(stopCode), graceSeconds * 1000);
      controller.abort(new Error("interrupted"));
    });
    onOutputError = (error) => {
      if (error.code !== "EPIPE") return; // told by the write that failed
      stopCode = EXIT_CODES["broken-pipe"];
      controller.abort(error);
      resolve(stopCode);
    };
  });
  io.stdout.on("error", onOutputError);
  try {
    return await Promise.race([stopped, work(controller.signal)]);
  } catch (error) {
    if (controller.signal.aborted) return stopCode;
    throw error;
  } finally {
    clearTimeout(timer);
    unlisten();
  }
}

/** Waits until everything written has left the process. */
export async function flush(io: ProgramIo): Promise<void> {
  await Promise.allSettled([write(io.stdout, ""), write(io.stderr, "")]);
}
