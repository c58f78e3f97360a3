import { readFileSync } from "node:fs";
import { connect as connectHttp2 } from "node:http2";
import { request } from "node:https";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { MezError, messageOf } from "../core/errors/error.js";
import { systemReason } from "../core/errors/system-reason.js";

export interface HealthQuestion {
  /** For all of it. */
  readonly timeoutSeconds: number;
  /** Certificates that have to have signed that of the daemon, PEM; `null` checks nothing. */
  readonly caFile: string | null;
}

/**
 * Asks a daemon whether it is ready: a web server for `/readyz`, an auth service for the answer to a ping of HTTP/2.
 * @returns A line for the person.
 * @throws {MezError} `UNAVAILABLE` when it is not ready, does not answer in time, or is not who it should be; `INVALID_ARGUMENT` for
 *   a `caFile` that cannot be read
 */
export async function askHealth(
  { host, port }: { readonly host: string; readonly port: number },
  { timeoutSeconds, caFile }: HealthQuestion,
): Promise<string> {
  const trust = readTrust(caFile);
  const signal = AbortSignal.timeout(timeoutSeconds * 1000);
  const where = `${host.includes(":") ? `[${host}]` : host}:${port}`;
  try {
    const socket = await open({ host, port, ...trust }, signal);
    try {
      const isAuth = socket.alpnProtocol === "h2";
      await (isAuth ? ping(socket, signal) : askReady(socket, signal));
      return `${isAuth ? "the auth service" : "the proxy"} at ${where} is ready`;
    } finally {
      socket.destroy();
    }
  } catch (error) {
    const reason = signal.aborted ? `no answer within ${timeoutSeconds} s` : messageOf(error);
    throw new MezError("UNAVAILABLE", `${where} is not ready: ${reason}`, { cause: error });
  }
}

// --- internal ---

/** The one port speaks both: there, the web server says more. */
const PROTOCOLS = ["http/1.1", "h2"];

interface Trust {
  readonly rejectUnauthorized: boolean;
  readonly ca?: Buffer;
}

interface Place extends Trust {
  readonly host: string;
  readonly port: number;
}

function readTrust(caFile: string | null): Trust {
  if (caFile === null) return { rejectUnauthorized: false };
  try {
    return { rejectUnauthorized: true, ca: readFileSync(caFile) };
  } catch (cause) {
    throw new MezError("INVALID_ARGUMENT", `cannot read ${caFile}: ${systemReason(cause)}`, { cause });
  }
}

async function open(place: Place, signal: AbortSignal): Promise<TLSSocket> {
  try {
    return await handshake(place, PROTOCOLS.slice(0, 1), signal);
  } catch (error) {
    if (signal.aborted || !isWrongProtocol(error)) throw error;
    return handshake(place, PROTOCOLS.slice(1), signal);
  }
}

function handshake(place: Place, ALPNProtocols: string[], signal: AbortSignal): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = connectTls({ ...place, ALPNProtocols });
    const stop = () => socket.destroy(signal.reason);
    signal.addEventListener("abort", stop, { once: true });
    socket.once("error", reject);
    socket.once("secureConnect", () => {
      signal.removeEventListener("abort", stop);
      socket.off("error", reject);
      socket.on("error", () => undefined);
      resolve(socket);
    });
  });
}

/** How a server that speaks HTTP/2 alone refuses http/1.1. @see RFC 7301, 3.2 */
function isWrongProtocol(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL";
}

function askReady(socket: TLSSocket, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const asked = request(
      { createConnection: () => socket, path: "/readyz", signal, headers: { host: "localhost" } },
      (answer) => {
        answer.resume();
        if (answer.statusCode === 200) resolve();
        else reject(new Error(answer.statusCode === 503 ? "it is starting or stopping" : `it answers with ${answer.statusCode}`));
      },
    );
    asked.once("error", reject);
    asked.end();
  });
}

function ping(socket: TLSSocket, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const session = connectHttp2("https://localhost", { createConnection: () => socket });
    session.once("error", reject);
    session.once("close", () => reject(new Error("it closed the connection")));
    signal.addEventListener("abort", () => session.destroy(), { once: true });
    session.ping((error) => {
      if (error === null) resolve();
      else reject(error);
    });
  });
}
