import type { Server, Socket } from "node:net";
import { messageOf } from "../../core/errors/error.js";
import { openSocket, openSocketServer } from "./unix-socket.js";

/** What the node asks of this process. */
export interface SocketQuestion {
  readonly kind: "connect" | "listen" | "stop";
  readonly id: number;
  readonly path: string;
}

/** What it answers; `done` for `connect` and `connection` come with the socket. */
export type SocketAnswer =
  | { readonly kind: "done" | "connection"; readonly id: number }
  | { readonly kind: "failed"; readonly id: number; readonly reason: string };

/*
 * A program of its own: gives up root's rights for those of an account, then opens unix sockets for the node and hands
 * them over. Started by `UserSockets`; ends with the channel to it.
 */
const servers = new Map<number, Server>();

if (process.send !== undefined && process.argv[2] !== undefined) {
  become(JSON.parse(process.argv[2]));
  process.on("message", (question) => void answer(question as SocketQuestion));
  process.once("disconnect", () => {
    for (const server of servers.values()) server.close();
    process.exit();
  });
}

// --- internal ---

interface Rights {
  readonly uid: number;
  readonly gid: number;
  readonly groups: readonly number[];
}

function become({ uid, gid, groups }: Rights): void {
  process.setgroups?.([...groups]);
  process.setgid?.(gid);
  process.setuid?.(uid);
}

async function answer({ kind, id, path }: SocketQuestion): Promise<void> {
  try {
    if (kind === "connect") return say({ kind: "done", id }, await openSocket(path));
    if (kind === "listen") {
      servers.set(id, await openSocketServer(path, (socket) => say({ kind: "connection", id }, socket)));
      return say({ kind: "done", id });
    }
    servers.get(id)?.close();
    servers.delete(id);
  } catch (error) {
    say({ kind: "failed", id, reason: messageOf(error) });
  }
}

function say(message: SocketAnswer, socket?: Socket): void {
  process.send?.(message, socket, {}, () => undefined);
}
