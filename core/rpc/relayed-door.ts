import type { Socket } from "node:net";
import { connect, type TLSSocket } from "node:tls";
import { MezError, messageOf } from "../errors/error.js";
import type { AuthDoor } from "../plugin/auth-door.js";
import type { HostIdentity } from "../plugin/host-identity.js";
import type { Logger } from "../plugin/logger.js";
import { relay } from "../tunnel/relay.js";
import { parseHostPort } from "./address.js";
import { AddressOrder } from "./address-order.js";
import { checkAuthServer } from "./auth-server-check.js";
import { connectionReason } from "./connection-reason.js";
import { BLIND_RELAY_ALPN, originLine, RELAY_ALPN } from "./relayed-origin.js";

// With more than one address, a server that does not shake hands sooner is not waited for.
const SEVERAL_DIAL_TIMEOUT_MS = 3_000;
const DIAL_TIMEOUT_MS = 10_000;
const MAX_CONNECTIONS = 10_000;

export interface RelayedDoorOptions {
  /** The proxy's. @throws {MezError} before it has joined. */
  readonly identity: () => HostIdentity;
  /** `host:port` of the auth service, tried in order from the one after the last that failed. */
  readonly addresses: readonly string[];
  readonly logger: Logger;
}

/**
 * The door of a proxy that runs apart from the auth service: each client gets a connection of its own there, TLS 1.3 with
 * certificates on both sides, which says where the client is and then carries its bytes.
 */
export class RelayedDoor implements AuthDoor {
  #count = 0;
  /** Whether the last attempt to reach the auth service failed: one line in the log is enough for all clients of that time. */
  #isCutOff = false;

  readonly #order: AddressOrder;

  constructor(private readonly options: RelayedDoorOptions) {
    this.#order = new AddressOrder(options.addresses);
  }

  accept(client: Socket): void {
    client.on("error", () => client.destroy());
    if (this.#count >= MAX_CONNECTIONS) return void client.destroy();
    this.#count += 1;
    this.#relay(client)
      .catch((error: unknown) => {
        client.destroy();
        const { logger } = this.options;
        logger[this.#isCutOff ? "debug" : "warn"]("clients cannot be passed on to the auth service", {
          reason: messageOf(error),
        });
        this.#isCutOff = true;
      })
      .finally(() => {
        this.#count -= 1;
      });
  }

  async #relay(client: Socket): Promise<void> {
    if (client.remoteAddress === undefined) return; // it has left already
    const origin = originLine(client);
    const server = await this.#dial();
    this.#isCutOff = false;
    if (client.destroyed) return void server.destroy();
    server.write(origin);
    await relay(client, server);
  }

  /** To the first server that serves anybody; else to one that says to the client why it does not. */
  async #dial(): Promise<TLSSocket> {
    const { identity, addresses } = this.options;
    let failure: unknown = new MezError("UNAVAILABLE", "no address of an auth service is configured");
    let blind: TLSSocket | null = null;
    const timeoutMs = addresses.length > 1 ? SEVERAL_DIAL_TIMEOUT_MS : DIAL_TIMEOUT_MS;
    for (const address of this.#order.all()) {
      try {
        const server = await dial(address, identity(), timeoutMs);
        if (server.alpnProtocol === RELAY_ALPN) {
          blind?.destroy();
          return server;
        }
        this.#order.failed(address);
        if (blind === null) blind = server;
        else server.destroy();
      } catch (error) {
        this.#order.failed(address);
        failure = error;
      }
    }
    if (blind !== null) return blind;
    throw failure;
  }
}

// --- internal ---

function dial(address: string, identity: HostIdentity, timeoutMs: number): Promise<TLSSocket> {
  const { host, port } = parseHostPort(address);
  const { certificatePem, privateKeyPem, trustPem } = identity.current();
  const socket = connect({
    ...{ host, port, noDelay: true, minVersion: "TLSv1.3", ALPNProtocols: [RELAY_ALPN, BLIND_RELAY_ALPN] },
    ...{ cert: certificatePem, key: privateKeyPem.expose(), ca: [...trustPem] },
    checkServerIdentity: (_name, certificate) => checkAuthServer(host, certificate),
  });
  return new Promise((resolve, reject) => {
    const fail = (why: string): void => {
      socket.destroy();
      reject(new MezError("UNAVAILABLE", `cannot reach the auth service at ${address}: ${why}`));
    };
    socket.setTimeout(timeoutMs, () => fail("no answer"));
    socket.once("error", (error: NodeJS.ErrnoException) => fail(connectionReason(error.code ?? error.message)));
    socket.once("secureConnect", () => {
      socket.setTimeout(0);
      if (socket.alpnProtocol === false) return fail("it takes no relayed connections");
      socket.on("error", () => socket.destroy());
      resolve(socket);
    });
  });
}
