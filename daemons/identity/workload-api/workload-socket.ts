import { once } from "node:events";
import { chmodSync, mkdirSync, realpathSync, rmSync, statSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { basename, dirname, join } from "node:path";
import { isMezError, MezError } from "../../../core/errors/error.js";
import { systemReason } from "../../../core/errors/system-reason.js";
import { isTaken } from "../../../core/unix-socket/taken-socket.js";
import { claim } from "../abstract-claim.js";
import type { WorkloadSocketSettings } from "../settings.js";

/**
 * Listens on a unix socket. One that an ended process left is replaced, anything else is not. The folder is made where it is
 * missing, and refused when others could put a socket of theirs in the place of ours.
 * @returns Stops, and removes the socket.
 * @throws {MezError} `ADDRESS_IN_USE`, `ADDRESS_UNUSABLE`
 */
export async function listenForWorkloads(
  { path, mode }: WorkloadSocketSettings,
  onConnection: (socket: Socket) => void,
): Promise<{ close(): Promise<void> }> {
  const server = createServer(onConnection);
  server.maxConnections = MAX_CONNECTIONS;
  let release: (() => Promise<void>) | null = null;
  try {
    const place = join(prepareFolder(dirname(path)), basename(path));
    release = await claim(`workload socket ${place}`); // two that start at once must not remove each other's socket
    if (release === null || (await isTaken(place))) throw inUse(path);
    rmSync(place, { force: true });
    server.listen(place);
    await once(server, "listening");
    chmodSync(place, mode);
  } catch (error) {
    await release?.();
    server.close();
    if (isMezError(error)) throw error;
    if ((error as NodeJS.ErrnoException).code === "EADDRINUSE") throw inUse(path);
    throw unusable(path, systemReason(error), error);
  }
  return {
    async close() {
      await closed(server);
      await release();
    },
  };
}

// --- internal ---

const MAX_CONNECTIONS = 1024;

function prepareFolder(path: string): string {
  mkdirSync(path, { recursive: true, mode: 0o755 });
  const place = realpathSync(path);
  const own = process.getuid?.() ?? 0;
  for (let folder = place; ; folder = dirname(folder)) {
    const { mode, uid, gid } = statSync(folder);
    const isSticky = (mode & 0o1000) !== 0; // as /tmp: others cannot rename what is ours
    if (uid !== 0 && uid !== own) throw unusable(path, `${folder} belongs to user id ${uid}, who could put another socket there`);
    const isOpen = (mode & 0o002) !== 0 || ((mode & 0o020) !== 0 && gid !== 0);
    if (isOpen && !isSticky)
      throw unusable(
        path,
        `others can write to ${folder} (mode ${(mode & 0o7777).toString(8)}), and so put another socket there`,
      );
    if (folder === dirname(folder)) return place;
  }
}

function inUse(path: string): MezError {
  return new MezError("ADDRESS_IN_USE", `--workload-socket ${path} is taken by another process or file; choose another`);
}

function unusable(path: string, why: string, cause?: unknown): MezError {
  return new MezError("ADDRESS_UNUSABLE", `--workload-socket: cannot listen on ${path}: ${why}`, { cause });
}

async function closed(server: Server): Promise<void> {
  const end = once(server, "close");
  server.close();
  await end;
}
