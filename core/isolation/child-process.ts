import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import { fileURLToPath } from "node:url";
import { PACKAGE_ROOT } from "../cli/release.js";
import { hostFolders } from "./host-folders.js";

export interface ChildOptions {
  /** Folder of the copy that it runs from; its current folder. */
  readonly folder: string;
  /** Folder that it may write in; `null` for none. */
  readonly dataDirectory: string | null;
  /** What the manifest says that its code touches. */
  readonly reach: readonly string[];
  /** Resident memory, of it and of what it starts, beyond which all of it is killed. */
  readonly memoryMib: number;
}

/** Whether it can start other programs. */
export function mayStartOthers({ reach }: Pick<ChildOptions, "reach">): boolean {
  return reach.includes("child-process") || reach.includes("native-module");
}

/**
 * Starts the process of an isolated plugin: Node with its permission model, no environment but what is given, nothing open
 * but a socket to us and standard error.
 */
export function spawnChild(
  { folder, dataDirectory, reach, memoryMib }: ChildOptions,
  environment: Readonly<Record<string, string>>,
): ChildProcess {
  const own = dataDirectory === null ? [] : [dataDirectory];
  const readable = [folder, ...own, ...HOST_FOLDERS];
  const flags = [
    `--max-old-space-size=${Math.floor(memoryMib * HEAP_SHARE)}`,
    "--permission",
    ...(reach.includes("files")
      ? ["--allow-fs-read=*", "--allow-fs-write=*"]
      : [
          ...readable.flatMap((path) => [`--allow-fs-read=${path}`, `--allow-fs-read=${join(path, "*")}`]),
          ...own.map((path) => `--allow-fs-write=${join(path, "*")}`),
        ]),
    ...(reach.includes("child-process") ? ["--allow-child-process"] : []),
    ...(reach.includes("native-module") ? ["--allow-addons"] : []),
    "--disable-warning=SecurityWarning",
  ];
  const [program = process.execPath, ...args] = [...launcher(), process.execPath, ...flags, MAIN];
  const child = spawn(program, args, {
    cwd: folder,
    env: { ...environment },
    stdio: ["ignore", "ignore", "pipe", "pipe"],
    detached: true, // Ctrl-C in our terminal is not for it
  });
  if (child.pid !== undefined) preferredVictim(child.pid);
  return child;
}

/** Our end of the connection to a child. */
export function connectionOf(child: ChildProcess): Duplex {
  return child.stdio[3] as unknown as Duplex;
}

// --- internal ---

const MAIN = fileURLToPath(new URL("./child-main.js", import.meta.url));
const HOST_FOLDERS = hostFolders(PACKAGE_ROOT);
const HEAP_SHARE = 0.75;
const SETPRIV = "/usr/bin/setpriv";

/** Has the kernel kill it with us, and never give it more rights, where util-linux is there. */
function launcher(): readonly string[] {
  return existsSync(SETPRIV) ? [SETPRIV, "--pdeathsig", "KILL", "--no-new-privs", "--"] : [];
}

/** When the machine runs out of memory, the kernel takes this process and not the daemon. */
function preferredVictim(pid: number): void {
  try {
    writeFileSync(`/proc/${pid}/oom_score_adj`, "1000");
  } catch {
    // Not Linux, or it has ended already.
  }
}
