import { createRequire } from "node:module";
import { parentPort, workerData } from "node:worker_threads";
import type { CheckpointAnswer, CheckpointRequest, LogState } from "./checkpoint-message.js";

// The program of a thread that copies the write-ahead log of one database into it. It imports little: it stays in memory.

interface Connection {
  pragma(source: string): unknown;
  close(): void;
}

type Open = new (path: string, options: { readonly fileMustExist: boolean }) => Connection;

const port = parentPort;
if (port === null) throw new Error("this is the program of a worker thread");

// By way of MikroORM, so that it is the same SQLite as that of the other connections: two of them in one process take each
// other's locks away (https://www.sqlite.org/howtocorrupt.html, 2.2.1).
const Database = createRequire(import.meta.resolve("@mikro-orm/sqlite"))("better-sqlite3") as Open;
const database = new Database((workerData as { readonly path: string }).path, { fileMustExist: true });
database.pragma("synchronous = normal");
database.pragma("cache_size = -64");

port.on("message", (request: CheckpointRequest) => {
  if (request === "checkpoint") return port.postMessage(checkpoint());
  // The last connection to be closed copies the rest, and removes the log.
  database.close();
  port.close();
});

// --- internal ---

function checkpoint(): CheckpointAnswer {
  try {
    const [{ log, checkpointed }] = database.pragma("wal_checkpoint(passive)") as [LogState];
    return { log, checkpointed };
  } catch (error) {
    const { code = "", message } = error as { readonly code?: string; readonly message: string };
    return { code, message };
  }
}
