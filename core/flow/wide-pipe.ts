import { createRequire } from "node:module";

/** A pipe of this process: one end to read from, one for a program to write to. Whoever opens it closes both. */
export interface WidePipe {
  readonly readEnd: number;
  readonly writeEnd: number;
}

/**
 * Opens a pipe that holds a megabyte where the system lets it, so that a program writes on while we do other things.
 * @returns `null` where that takes more than Node.js can do: there are no such pipes, or libc cannot be called.
 * @see pipe(2), fcntl(2) F_SETPIPE_SZ
 */
export function openWidePipe(): WidePipe | null {
  libc ??= loadLibc();
  const ends = [-1, -1];
  if (libc === "none" || libc.pipe2(ends, O_CLOEXEC) !== 0) return null;
  const [readEnd = -1, writeEnd = -1] = ends;
  libc.fcntl(readEnd, F_SETPIPE_SZ, PIPE_BYTES); // refused to a user with many of them: then it is an ordinary one
  return { readEnd, writeEnd };
}

// --- internal ---

const O_CLOEXEC = 0o2000000; // asm-generic/fcntl.h
const F_SETPIPE_SZ = 1031; // linux/fcntl.h
const PIPE_BYTES = 1024 * 1024; // fs.pipe-max-size, as Linux comes

interface Libc {
  pipe2(ends: number[], flags: number): number;
  fcntl(descriptor: number, command: number, value: number): number;
}

let libc: Libc | "none" | null = null;

function loadLibc(): Libc | "none" {
  if (process.platform !== "linux" || !["x64", "arm64"].includes(process.arch)) return "none";
  try {
    const koffi = createRequire(import.meta.url)("koffi") as typeof import("koffi");
    const library = koffi.load(null);
    return {
      pipe2: library.func("int pipe2(_Out_ int *ends, int flags)"),
      fcntl: library.func("int fcntl(int descriptor, int command, int value)"),
    };
  } catch {
    return "none";
  }
}
