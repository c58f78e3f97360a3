import { setTimeout as sleep } from "node:timers/promises";
import { MezError, messageOf } from "../../../core/errors/error.js";
import type { SyslogTransport } from "./syslog-forwarder.js";

/** A datagram for each message, to the local syslog. Node.js has no datagrams of unix sockets, so libc is called. @see unix(7) */
export class UnixTransport implements SyslogTransport {
  readonly isLocal = true;
  readonly maxBytes = 64 * 1024;
  #calls: Calls | null = null;

  constructor(private readonly path: string) {}

  async send(messages: readonly Buffer[], signal: AbortSignal): Promise<void> {
    const calls = await this.#load();
    const handle = calls.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (handle < 0) throw this.#unavailable(reasonOf(calls.errno()));
    try {
      const address = addressOf(this.path);
      if (calls.connect(handle, address, address.length) !== 0) throw this.#unavailable(reasonOf(calls.errno()));
      for (const message of messages) await this.#sendOne(calls, handle, message, signal);
    } finally {
      calls.close(handle);
    }
  }

  close(): void {
    // Each call has a socket of its own.
  }

  async #sendOne(calls: Calls, handle: number, message: Buffer, signal: AbortSignal): Promise<void> {
    while (calls.send(handle, message, message.length, MSG_NOSIGNAL) < 0) {
      const number = calls.errno();
      if (number !== EAGAIN && number !== EINTR && number !== ENOBUFS) throw this.#unavailable(reasonOf(number));
      if (signal.aborted) throw this.#unavailable("it does not read");
      await sleep(20);
    }
  }

  async #load(): Promise<Calls> {
    try {
      this.#calls ??= await loadCalls();
      return this.#calls;
    } catch (cause) {
      throw this.#unavailable(`the library koffi does not load (${messageOf(cause)})`, cause);
    }
  }

  #unavailable(reason: string, cause?: unknown): MezError {
    return new MezError("UNAVAILABLE", `syslog at ${this.path} cannot be reached: ${reason}`, { cause });
  }
}

// --- internal ---

interface Calls {
  socket(family: number, type: number, protocol: number): number;
  connect(handle: number, address: Buffer, length: number): number;
  send(handle: number, bytes: Buffer, length: number, flags: number): number;
  close(handle: number): number;
  errno(): number;
}

// asm-generic/socket.h, bits/socket.h and asm-generic/errno.h of Linux on x64 and arm64
const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const MSG_NOSIGNAL = 0x4000;
const EINTR = 4;
const EAGAIN = 11;
const ENOBUFS = 105;
const MAX_PATH_BYTES = 107;
const REASONS: ReadonlyMap<number, string> = new Map([
  [2, "there is no such socket"],
  [13, "it is not for us to write to"],
  [90, "a message is too long"],
  [91, "it takes no datagrams"],
  [111, "nobody listens"],
]);

async function loadCalls(): Promise<Calls> {
  if (process.platform !== "linux") throw new Error("it needs Linux");
  const { default: koffi } = await import("koffi");
  const libc = koffi.load(null);
  return {
    socket: libc.func("int socket(int family, int type, int protocol)"),
    connect: libc.func("int connect(int fd, const uint8_t *address, uint32_t length)"),
    send: libc.func("int64_t send(int fd, const uint8_t *bytes, size_t length, int flags)"),
    close: libc.func("int close(int fd)"),
    errno: () => koffi.errno(),
  };
}

/** struct sockaddr_un */
function addressOf(path: string): Buffer {
  const name = Buffer.from(path);
  if (name.length > MAX_PATH_BYTES)
    throw new MezError("UNAVAILABLE", `the path of syslog is longer than ${MAX_PATH_BYTES} bytes: ${path}`);
  const address = Buffer.alloc(2 + name.length + 1);
  address.writeUInt16LE(AF_UNIX, 0);
  name.copy(address, 2);
  return address;
}

function reasonOf(number: number): string {
  return REASONS.get(number) ?? `error ${number} of the system`;
}
