import { type BigIntStats, openSync, readFileSync, readlinkSync, statSync } from "node:fs";

/** What a process is at one moment. */
export interface ProcessState {
  /** Clock ticks since boot: with the PID it names a process, until the machine restarts. */
  readonly startTime: string;
  /** The effective user. */
  readonly uid: number;
  /** The effective group. */
  readonly gid: number;
  /** Supplementary groups. */
  readonly groups: readonly number[];
  /** `null` when this daemon may not look: it needs to be root, the same user, or to have CAP_SYS_PTRACE. */
  readonly program: Program | null;
}

/** The file that a process runs. */
export interface Program {
  /** Another one for each file and each change of it. */
  readonly id: string;
  /** Absolute; `null` when that path leads to another file here: it was replaced, deleted, or is one of a container. */
  readonly path: string | null;
}

/** The processes of this machine. */
export interface ProcessTable {
  /** `null` when there is no such process, or nothing but its exit status. */
  look(pid: number): ProcessState | null;
  /** A descriptor of the program that a process runs, for the caller to close. @throws when it may not be read */
  openProgram(pid: number): number;
}

/** Names a version of a file; the time of its last change cannot be set by its owner. */
export function fileId({ dev, ino, size, mtimeNs, ctimeNs }: BigIntStats): string {
  return [dev, ino, size, mtimeNs, ctimeNs].join(":");
}

/** @see proc(5) */
export class LinuxProcessTable implements ProcessTable {
  look(pid: number): ProcessState | null {
    try {
      // The name may hold blanks and parentheses: fields are counted from the last one.
      const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
      const [state, ...fields] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      const startTime = fields[18]; // field 22, "starttime"
      if (startTime === undefined || state === "Z" || state === "X") return null;
      const status = readFileSync(`/proc/${pid}/status`, "latin1");
      const [uid, gid] = [effective(status, "Uid"), effective(status, "Gid")];
      if (uid === null || gid === null) return null;
      return { startTime, uid, gid, groups: numbers(status, "Groups"), program: this.#program(pid) };
    } catch {
      return null;
    }
  }

  openProgram(pid: number): number {
    return openSync(`/proc/${pid}/exe`, "r");
  }

  #program(pid: number): Program | null {
    try {
      const found = statSync(`/proc/${pid}/exe`, { bigint: true });
      const path = readlinkSync(`/proc/${pid}/exe`);
      return { id: fileId(found), path: leadsTo(path, found) ? path : null };
    } catch {
      return null;
    }
  }
}

// --- internal ---

/** A mount namespace of its own can show any file under any path. */
function leadsTo(path: string, { dev, ino }: BigIntStats): boolean {
  try {
    const here = statSync(path, { bigint: true });
    return here.dev === dev && here.ino === ino;
  } catch {
    return false;
  }
}

/** The second of the four: real, effective, saved, file system. */
function effective(status: string, name: "Uid" | "Gid"): number | null {
  return numbers(status, name)[1] ?? null;
}

function numbers(status: string, name: string): number[] {
  const line = new RegExp(`^${name}:(.*)$`, "m").exec(status)?.[1] ?? "";
  return line.split(/\s+/).filter(Boolean).map(Number);
}
