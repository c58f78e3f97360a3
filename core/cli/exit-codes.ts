import type { ErrorKind } from "../errors/codes.js";
import { isMezError } from "../errors/error.js";

/** Every exit code of mezctl, msh and mezd. A command that runs a remote program returns that program's code instead. */
export const EXIT_CODES = {
  ok: 0,
  internal: 1, //         our fault, or something nobody foresaw
  usage: 2, //            wrong words: flag, value, role file
  unauthenticated: 3, //  log in
  denied: 4, //           logged in, and the answer is no
  "not-found": 5,
  "already-exists": 6,
  conflict: 6, //         the state of the thing forbids it now
  unavailable: 7, //      try again
  timeout: 7,
  limit: 8, //            too many attempts, too much data
  environment: 9, //      this machine: file, folder, port
  corrupt: 9,
  interrupted: 130, //    Ctrl-C: 128 + SIGINT, as shells do
  "broken-pipe": 141, //  the reader went away: 128 + SIGPIPE
  terminated: 143, //     128 + SIGTERM
} as const satisfies Record<ErrorKind | "ok" | "interrupted" | "broken-pipe" | "terminated", number>;

/** The exit code for anything thrown. Errors of the operating system, such as `ENOENT`, count as `environment`. */
export function exitCodeOf(thrown: unknown): number {
  // Why a plugin could not register or start says more than that it could not.
  if (isMezError(thrown, "PLUGIN_REGISTER_FAILED", "PLUGIN_START_FAILED") && isMezError(thrown.cause))
    return exitCodeOf(thrown.cause);
  if (isMezError(thrown)) return EXIT_CODES[thrown.kind];
  return isSystemError(thrown) ? EXIT_CODES.environment : EXIT_CODES.internal;
}

/** Tells whether the operating system refused something: a file that is absent, a port in use. */
export function isSystemError(thrown: unknown): thrown is NodeJS.ErrnoException {
  return thrown instanceof Error && "syscall" in thrown && "code" in thrown;
}
