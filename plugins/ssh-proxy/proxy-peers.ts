import type { X509Certificate } from "node:crypto";
import type { Duplex } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import { isMezError, messageOf } from "../../core/errors/error.js";
import type { HostIdentity } from "../../core/plugin/host-identity.js";
import type { Logger } from "../../core/plugin/logger.js";
import { askPeer } from "../../core/tunnel/peer-stream.js";
import type { SessionEnd } from "../../core/tunnel/session-end.js";
import type { TunnelStreamInfo } from "../../core/tunnel/stream-headers.js";
import { nodeOffline } from "../../core/tunnel/tunnel.js";
import type { TunnelDirectory } from "../../core/tunnel/tunnel-directory.js";
import { type SessionEncryption, tunnelSecureContext } from "../../core/tunnel/tunnel-protocol.js";
import { PeerAddresses } from "./peer-addresses.js";

export interface ProxyPeersParts {
  /** `host:port` of the tunnel listeners of other proxies. A name with several addresses stands for as many proxies. */
  readonly addresses: readonly string[];
  readonly directory: Pick<TunnelDirectory, "open" | "tellEnd">;
  readonly identity: HostIdentity;
  readonly isProxy: (certificate: X509Certificate) => boolean;
  readonly logger: Logger;
}

/** Opens streams to nodes: through a tunnel of this proxy, or else through another proxy that has one. */
export class ProxyPeers {
  /** Where a node was found last; asked first. */
  readonly #found = new Map<string, string>();

  readonly #addresses: PeerAddresses;

  constructor(private readonly parts: ProxyPeersParts) {
    this.#addresses = new PeerAddresses(parts.addresses, parts.logger);
  }

  /** @throws {MezError} `NODE_OFFLINE`, `TUNNEL_LOST`; see `Tunnel.open` */
  async open(info: TunnelStreamInfo, signal: AbortSignal, encryption: SessionEncryption): Promise<Duplex> {
    const { addresses, directory } = this.parts;
    if (addresses.length === 0) return directory.open(info, signal, encryption);
    const near = this.#openHere(info, signal, encryption);
    const soon = await soonOrNever(near);
    if (soon === "late") return firstOf([near, this.#openThere(info, signal)], info.nodeName);
    return soon ?? this.#openThere(info, signal);
  }

  /** Has a node that is connected here end a session; one that another proxy leads to is not told. */
  tellEnd(nodeName: string, end: SessionEnd): void {
    this.parts.directory.tellEnd(nodeName, end);
  }

  async #openThere(info: TunnelStreamInfo, signal: AbortSignal): Promise<Duplex> {
    const known = this.#found.get(info.nodeName);
    this.#found.delete(info.nodeName);
    const stream = known === undefined ? null : await this.#ask(known, info, signal);
    return stream ?? this.#askAll(info, signal);
  }

  /** `null` when the node is not connected here, or its tunnel just broke. */
  async #openHere(info: TunnelStreamInfo, signal: AbortSignal, encryption: SessionEncryption): Promise<Duplex | null> {
    try {
      return await this.parts.directory.open(info, signal, encryption);
    } catch (error) {
      if (isMezError(error, "NODE_OFFLINE", "TUNNEL_LOST")) return null;
      throw error;
    }
  }

  /** The first that has the node wins; the others are told to stop. */
  async #askAll(info: TunnelStreamInfo, signal: AbortSignal): Promise<Duplex> {
    const over = new AbortController();
    const either = AbortSignal.any([signal, over.signal]);
    const winner = Promise.withResolvers<Duplex | null>();
    let isFound = false;
    const ask = async (address: string): Promise<void> => {
      const stream = await this.#ask(address, info, either).catch(() => null);
      if (stream === null) return;
      if (isFound || signal.aborted) return void stream.destroy();
      isFound = true;
      winner.resolve(stream);
      over.abort();
    };
    const askEach = async (): Promise<void> => {
      const asked: Promise<void>[] = [];
      for await (const address of this.#addresses.find(either)) asked.push(ask(address));
      await Promise.all(asked);
    };
    const isOver = (): void => winner.resolve(null);
    askEach().then(isOver, isOver);
    const stream = await winner.promise;
    over.abort();
    if (signal.aborted) stream?.destroy();
    signal.throwIfAborted();
    if (stream === null) throw nodeOffline(info.nodeName);
    return stream;
  }

  /** `null` when that proxy does not have the node, or does not answer. */
  async #ask(address: string, info: TunnelStreamInfo, signal: AbortSignal): Promise<Duplex | null> {
    const { identity, isProxy, logger } = this.parts;
    const secureContext = tunnelSecureContext(identity.current());
    const options = { address, secureContext, serverName: ANY_PROXY, handshakeSeconds: HANDSHAKE_SECONDS, isProxy };
    try {
      const stream = await askPeer(info, options, signal);
      this.#remember(info.nodeName, address);
      return stream;
    } catch (error) {
      if (!signal.aborted && !isMezError(error, "NODE_OFFLINE"))
        logger.warn("another proxy was asked for a node in vain", { address, node: info.nodeName, error: messageOf(error) });
      signal.throwIfAborted();
      return null;
    }
  }

  #remember(nodeName: string, address: string): void {
    this.#found.set(nodeName, address);
    for (const oldest of this.#found.keys()) {
      if (this.#found.size <= MAX_REMEMBERED) break;
      this.#found.delete(oldest);
    }
  }
}

// --- internal ---

/** A name that the certificates of all proxies carry, and those of nodes do not. */
const ANY_PROXY = "localhost";
const HANDSHAKE_SECONDS = 5;
/** Longer than a node takes that can be reached. After a cut, its tunnel looks whole for a while. */
const NEAR_MS = 3000;
const MAX_REMEMBERED = 10_000;

async function soonOrNever(near: Promise<Duplex | null>): Promise<Duplex | null | "late"> {
  const over = new AbortController();
  const late = delay(NEAR_MS, "late" as const, { signal: over.signal, ref: false }).catch(() => "late" as const);
  try {
    return await Promise.race([near, late]);
  } finally {
    over.abort();
  }
}

/** The stream that comes first; one that comes after it is closed. @throws {MezError} `NODE_OFFLINE` */
async function firstOf(ways: readonly Promise<Duplex | null>[], nodeName: string): Promise<Duplex> {
  let winner: Duplex | null = null;
  const attempts = ways.map(async (way) => {
    const stream = await way;
    if (stream === null) throw nodeOffline(nodeName);
    if (winner === null) winner = stream;
    else stream.destroy();
    return winner;
  });
  return Promise.any(attempts).catch((failures: AggregateError) => {
    throw failures.errors[0];
  });
}
