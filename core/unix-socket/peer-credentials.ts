import { closeSync, readFileSync } from "node:fs";
import type { Socket } from "node:net";
import { MezError, messageOf } from "../errors/error.js";

/** Who connected to a unix socket, as the kernel wrote it down at that moment. */
export interface PeerCredentials {
  /** As this process sees it, above 0. */
  readonly pid: number;
  /** The effective user. */
  readonly uid: number;
  /** The effective group. */
  readonly gid: number;
  /** Whether the process that connected still runs. Always `true` where the kernel gives no handle on it (before Linux 6.5). */
  isRunning(): boolean;
  /** Gives the handle back. */
  close(): void;
}

/** Reads the credentials of a connection that was accepted. @throws {MezError} `ACCESS_DENIED` when the kernel tells none */
export type PeerCredentialsReader = (socket: Socket) => PeerCredentials;

/**
 * Node.js has no call for the credentials of a peer, so libc is called.
 * @throws {MezError} `PEER_CREDENTIALS_UNAVAILABLE`
 * @see unix(7) SO_PEERCRED
 */
export async function loadPeerCredentials(): Promise<PeerCredentialsReader> {
  if (process.platform !== "linux" || !["x64", "arm64"].includes(process.arch))
    throw unavailable(`on ${process.platform}-${process.arch}`, "it needs Linux on x64 or arm64");
  try {
    const { default: koffi } = await import("koffi");
    const getsockopt: SocketOption = koffi
      .load(null)
      .func("int getsockopt(int fd, int level, int name, _Out_ uint8_t *value, _Inout_ uint32_t *length)");
    return (socket) => readCredentials(getsockopt, socket);
  } catch (cause) {
    throw unavailable("here", `the library koffi does not load (${messageOf(cause)}); install mezite again`, cause);
  }
}

// --- internal ---

type SocketOption = (fd: number, level: number, name: number, value: Buffer, length: number[]) => number;

const SOL_SOCKET = 1; // asm-generic/socket.h, as the next two
const SO_PEERCRED = 17;
const SO_PEERPIDFD = 77;
const UCRED_BYTES = 12;

function readCredentials(getsockopt: SocketOption, socket: Socket): PeerCredentials {
  const { fd = -1 } = (socket as unknown as { readonly _handle?: { readonly fd?: number } })._handle ?? {};
  const value = Buffer.alloc(UCRED_BYTES);
  const length = [UCRED_BYTES];
  if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, value, length) !== 0 || length[0] !== UCRED_BYTES)
    throw new MezError("ACCESS_DENIED", "the kernel does not tell who called");
  const [pid, uid, gid] = [value.readInt32LE(0), value.readUInt32LE(4), value.readUInt32LE(8)];
  if (pid <= 0) throw new MezError("ACCESS_DENIED", "the caller is in another PID namespace, out of sight");
  const handle = Buffer.alloc(4);
  const pidfd = getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, handle, [4]) === 0 ? handle.readInt32LE(0) : null;
  let isClosed = false;
  return {
    ...{ pid, uid, gid },
    isRunning: () => pidfd === null || (!isClosed && processOf(pidfd) === pid),
    close: () => {
      if (pidfd !== null && !isClosed) closeSync(pidfd);
      isClosed = true;
    },
  };
}

/** -1 when it has ended. @see pidfd_open(2), proc_pid_fdinfo(5) */
function processOf(pidfd: number): number {
  try {
    return Number(/^Pid:\s*(-?\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${pidfd}`, "utf8"))?.[1] ?? -1);
  } catch {
    return -1;
  }
}

function unavailable(where: string, why: string, cause?: unknown): MezError {
  return new MezError("PEER_CREDENTIALS_UNAVAILABLE", `callers of a unix socket cannot be told apart ${where}: ${why}`, {
    cause,
  });
}
