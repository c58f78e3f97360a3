import { type ChildProcess, fork } from "node:child_process";
import { Socket } from "node:net";
import { fileURLToPath } from "node:url";
import { MezError } from "../../core/errors/error.js";
import type { OsAccount } from "./os-account.js";
import { openSocket, openSocketServer } from "./unix-socket.js";
import { isRoot } from "./user-rights.js";
import type { SocketAnswer, SocketQuestion } from "./user-socket-process.js";

/** Opens unix sockets with the rights of an account. Sockets come paused and with half-close. */
export interface UserSockets {
  /** @throws {MezError} `UNAVAILABLE` with the system's reason */
  connect(path: string): Promise<Socket>;
  /** Makes a socket of mode 0600. @returns The way to stop, which removes it. @throws {MezError} `UNAVAILABLE` */
  listen(path: string, onConnection: (socket: Socket) => void): Promise<() => void>;
  close(): void;
}

/** As root, the system must see the account at the other end of a socket, not us: services trust root's connections. */
export function userSocketsOf(account: OsAccount): UserSockets {
  return isRoot() && account.uid !== 0 ? new ProcessUserSockets(account) : new OwnUserSockets();
}

// --- internal ---

const PROGRAM = fileURLToPath(new URL("./user-socket-process.js", import.meta.url));

class OwnUserSockets implements UserSockets {
  async connect(path: string): Promise<Socket> {
    return openSocket(path);
  }

  async listen(path: string, onConnection: (socket: Socket) => void): Promise<() => void> {
    const server = await openSocketServer(path, onConnection);
    return () => void server.close();
  }

  close(): void {}
}

/** Has a process of the account open the sockets and hand them over; it lives as long as the session. */
class ProcessUserSockets implements UserSockets {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, (answer: SocketAnswer | null, socket: Socket | undefined) => void>();
  readonly #listeners = new Map<number, (socket: Socket) => void>();
  #last = 0;

  constructor({ name, uid, gid, groups }: OsAccount) {
    const rights = JSON.stringify({ name, uid, gid, groups });
    this.#child = fork(PROGRAM, [rights], { cwd: "/", env: {}, execArgv: [], stdio: ["ignore", "ignore", "ignore", "ipc"] });
    this.#child.on("message", (answer, handle) =>
      this.#receive(answer as SocketAnswer, handle instanceof Socket ? handle : undefined),
    );
    this.#child.on("error", () => undefined);
    this.#child.once("exit", () => {
      for (const settle of this.#waiting.values()) settle(null, undefined);
      this.#waiting.clear();
    });
  }

  async connect(path: string): Promise<Socket> {
    const socket = await this.#ask({ kind: "connect", id: ++this.#last, path });
    if (socket === undefined) throw new MezError("UNAVAILABLE", "the socket was closed at once");
    return socket;
  }

  async listen(path: string, onConnection: (socket: Socket) => void): Promise<() => void> {
    const id = ++this.#last;
    this.#listeners.set(id, onConnection);
    await this.#ask({ kind: "listen", id, path });
    return () => {
      this.#listeners.delete(id);
      if (this.#child.connected) this.#child.send({ kind: "stop", id, path } satisfies SocketQuestion);
    };
  }

  close(): void {
    if (this.#child.connected) this.#child.disconnect();
  }

  #ask(question: SocketQuestion): Promise<Socket | undefined> {
    return new Promise((resolve, reject) => {
      this.#waiting.set(question.id, (answer, socket) => {
        if (answer?.kind === "done") resolve(socket);
        else reject(new MezError("UNAVAILABLE", answer?.kind === "failed" ? answer.reason : "sockets cannot be opened now"));
      });
      this.#child.send(question, (error) => {
        if (error !== null) this.#receive({ kind: "failed", id: question.id, reason: "sockets cannot be opened now" }, undefined);
      });
    });
  }

  #receive(answer: SocketAnswer, socket: Socket | undefined): void {
    if (socket !== undefined) socket.allowHalfOpen = true;
    socket?.on("error", () => undefined);
    if (answer.kind === "connection") {
      const listener = this.#listeners.get(answer.id);
      if (socket !== undefined && listener !== undefined) listener(socket);
      else socket?.destroy();
      return;
    }
    this.#waiting.get(answer.id)?.(answer, socket);
    this.#waiting.delete(answer.id);
  }
}
