import { createServer, type Server, Socket } from "node:net";
import { MezError, messageOf } from "../../core/errors/error.js";

/** Connects to a unix socket; the result is paused. @throws {MezError} `UNAVAILABLE` */
export function openSocket(path: string): Promise<Socket> {
  const socket = new Socket({ allowHalfOpen: true });
  socket.pause(); // nothing may be read before the socket is where it belongs
  return new Promise((resolve, reject) => {
    socket.once("error", (cause) => reject(new MezError("UNAVAILABLE", messageOf(cause), { cause })));
    socket.connect({ path }, () => {
      socket.on("error", () => undefined);
      resolve(socket);
    });
  });
}

/** Makes a unix socket of mode 0600 and listens on it; connections come paused. @throws {MezError} `UNAVAILABLE` */
export function openSocketServer(path: string, onConnection: (socket: Socket) => void): Promise<Server> {
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, onConnection);
  return new Promise((resolve, reject) => {
    server.once("error", (cause) => reject(new MezError("UNAVAILABLE", messageOf(cause), { cause })));
    const mask = process.umask(0o177);
    server.listen(path, () => {
      server.on("error", () => undefined);
      resolve(server);
    });
    process.umask(mask); // the socket is made within `listen`
  });
}
