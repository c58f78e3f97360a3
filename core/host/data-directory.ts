import { createHash } from "node:crypto";
import { once } from "node:events";
import { accessSync, constants, mkdirSync, realpathSync, statSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { dirname } from "node:path";
import { MezError } from "../errors/error.js";
import { systemReason } from "../errors/system-reason.js";

/**
 * Makes the data directory ready for this process alone: mode 0700, ours, writable, and taken. The claim is an abstract
 * unix socket named after the folder, which the kernel frees however the process ends.
 * @returns The way to give it back.
 * @throws {MezError} `DATA_DIRECTORY_UNUSABLE`, `DATA_DIRECTORY_IN_USE`
 */
export async function claimDataDirectory(path: string): Promise<() => Promise<void>> {
  prepare(path);
  const { dev, ino } = statSync(path);
  const name = createHash("sha256")
    .update(`${realpathSync(path)}:${dev}:${ino}`)
    .digest("hex")
    .slice(0, 32);
  const server = createServer((socket) => socket.destroy());
  try {
    server.listen(`\0mezite-data-${name}`);
    await once(server, "listening");
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "EADDRINUSE") {
      throw new MezError(
        "DATA_DIRECTORY_IN_USE",
        `data directory ${path} is in use by another mezd; stop that one, or give this one its own data_dir`,
      );
    }
    throw unusable(path, cause);
  }
  server.unref();
  return () => close(server);
}

// --- internal ---

function prepare(path: string): void {
  try {
    makeFolder(path);
    accessSync(path, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (cause) {
    throw unusable(path, cause);
  }
  const { uid, mode } = statSync(path);
  const own = process.getuid?.() ?? uid;
  if (uid !== own)
    throw new MezError(
      "DATA_DIRECTORY_UNUSABLE",
      `data directory ${path} belongs to user id ${uid}, and mezd runs as ${own}; it must be its own`,
    );
  if ((mode & 0o077) !== 0) {
    throw new MezError(
      "DATA_DIRECTORY_UNUSABLE",
      `data directory ${path} has mode ${(mode & 0o777).toString(8)} and holds private keys; run chmod 700 ${path}`,
    );
  }
}

/** Not Node's `recursive`: that one tries for ever where nothing can be made, as in /proc. */
function makeFolder(path: string): void {
  const there = statSync(path, { throwIfNoEntry: false });
  if (there?.isDirectory()) return;
  if (there !== undefined) throw new Error(`${path} is no folder`);
  if (dirname(path) !== path) makeFolder(dirname(path));
  mkdirSync(path, { mode: 0o700 });
}

async function close(server: Server): Promise<void> {
  const closed = once(server, "close");
  server.close();
  await closed;
}

function unusable(path: string, cause: unknown): MezError {
  return new MezError("DATA_DIRECTORY_UNUSABLE", `data directory ${path} cannot be used: ${systemReason(cause)}`, { cause });
}
