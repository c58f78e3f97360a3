import { once } from "node:events";
import { chmodSync, rmSync } from "node:fs";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { MezError } from "../../core/errors/error.js";
import { systemReason } from "../../core/errors/system-reason.js";
import { parseHostPort } from "../../core/rpc/address.js";
import { isTaken } from "../../core/unix-socket/taken-socket.js";
import type { HealthState } from "./health.js";

// As an import it would load Node's own fetch along with its other names: 13 MiB.
const { createServer } = process.getBuiltinModule("node:http");

/**
 * Answers `GET /healthz`: 200 while the certificates are good, 503 before the first and after the last.
 * @param address `host:port` on loopback, or the absolute path of a unix socket.
 * @returns Where it listens, and the way to stop.
 * @throws {MezError} `INVALID_ARGUMENT`, `ADDRESS_IN_USE`, `ADDRESS_UNUSABLE`
 */
export async function serveHealth(
  address: string,
  health: HealthState,
): Promise<{ readonly address: string; close(): Promise<void> }> {
  const server = createServer((request, response) => {
    if (request.url !== "/healthz") return void response.writeHead(404).end();
    if (request.method !== "GET" && request.method !== "HEAD") return void response.writeHead(405, { allow: "GET, HEAD" }).end();
    const report = health.report();
    const isGood = report.status === "ok" || report.status === "failing";
    response.writeHead(isGood ? 200 : 503, { "content-type": "application/json" }).end(`${JSON.stringify(report)}\n`);
  });
  server.headersTimeout = 5_000;
  server.maxConnections = 64;
  const shown = address.startsWith("/") ? await listenOnPath(server, address) : await listenOnLoopback(server, address);
  server.unref();
  return { address: shown, close: () => close(server) };
}

// --- internal ---

async function listenOnLoopback(server: Server, address: string): Promise<string> {
  const { host, port } = parseHostPort(address);
  if (!["127.0.0.1", "::1", "localhost"].includes(host))
    throw new MezError(
      "INVALID_ARGUMENT",
      `--health-addr ${address} is not on loopback; use 127.0.0.1:<port> or the path of a unix socket`,
    );
  await listen(server, { host, port }, address);
  const { port: bound } = server.address() as AddressInfo;
  return `${host.includes(":") ? `[${host}]` : host}:${bound}`;
}

async function listenOnPath(server: Server, path: string): Promise<string> {
  if (await isTaken(path)) throw inUse(path);
  rmSync(path, { force: true }); // of a daemon that was killed; anything but a socket has answered ENOTSOCK
  await listen(server, { path }, path);
  chmodSync(path, 0o600);
  return path;
}

async function listen(server: Server, where: { path: string } | { host: string; port: number }, address: string): Promise<void> {
  try {
    server.listen(where);
    await once(server, "listening");
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "EADDRINUSE") throw inUse(address);
    throw new MezError("ADDRESS_UNUSABLE", `--health-addr: cannot listen on ${address}: ${systemReason(cause)}`, { cause });
  }
}

function inUse(address: string): MezError {
  return new MezError("ADDRESS_IN_USE", `--health-addr ${address} is taken by another process or file; choose another`);
}

async function close(server: Server): Promise<void> {
  const closed = once(server, "close");
  server.close();
  server.closeAllConnections();
  await closed;
}
