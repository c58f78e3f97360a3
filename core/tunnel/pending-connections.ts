import type { Socket } from "node:net";
import { networkOf } from "../plugin/client-network.js";

/** A connection of which it is not known yet what it will be. */
export interface PendingConnection {
  readonly socket: Socket;
  /** Whether a byte has come. */
  speaks: boolean;
}

/**
 * The connections that are not tunnels yet, by their end points, in order of arrival; so many at the most. When there are too
 * many, the network with the most of them gives way, so that nobody keeps others out; see `networkOf`. Within one network the
 * oldest that has said nothing is closed; when all speak, the newcomer: it comes back, while those would never get through if
 * ten thousand agents dial at once.
 */
export class PendingConnections {
  readonly #entries = new Map<string, Entry>();
  /** How many each network has. */
  readonly #counts = new Map<string, number>();

  constructor(private readonly limit: number) {}

  get size(): number {
    return this.#entries.size;
  }

  /** @returns `null` when there is no room; the socket is closed then. */
  add(id: string, socket: Socket): PendingConnection | null {
    const network = networkOf(socket.remoteAddress ?? "unknown");
    if (this.#entries.size >= this.limit && !this.#makeRoomFor(network)) {
      socket.destroy();
      return null;
    }
    const entry: Entry = { socket, network, since: performance.now(), speaks: false };
    this.delete(id); // of a connection from the same end points that is over
    this.#entries.set(id, entry);
    this.#counts.set(network, (this.#counts.get(network) ?? 0) + 1);
    return entry;
  }

  get(id: string): Socket | null {
    return this.#entries.get(id)?.socket ?? null;
  }

  /** Whether it is there, and not another one from the same end points, or the same again. */
  holds(id: string, pending: PendingConnection): boolean {
    return this.#entries.get(id) === pending;
  }

  delete(id: string): void {
    const entry = this.#entries.get(id);
    if (entry === undefined) return;
    this.#entries.delete(id);
    const left = (this.#counts.get(entry.network) ?? 1) - 1;
    if (left === 0) this.#counts.delete(entry.network);
    else this.#counts.set(entry.network, left);
  }

  closeAll(): void {
    for (const { socket } of this.#entries.values()) socket.destroy();
  }

  #makeRoomFor(network: string): boolean {
    const most = Math.max(...this.#counts.values());
    const own = this.#counts.get(network) ?? 0;
    const isOthersTurn = own + 1 < most;
    const isCandidate = (entry: Entry): boolean => {
      if (isOthersTurn) return this.#counts.get(entry.network) === most;
      return own === 0 || entry.network === network;
    };
    let found: readonly [id: string, entry: Entry] | null = null;
    for (const [id, entry] of this.#entries) {
      if (!isCandidate(entry) || (found !== null && entry.speaks)) continue;
      found = [id, entry];
      if (!entry.speaks) break;
    }
    if (found === null) return false;
    const [id, entry] = found;
    if (!isOthersTurn && entry.speaks && performance.now() - entry.since < PATIENCE_MS) return false;
    this.delete(id);
    entry.socket.destroy();
    return true;
  }
}

// --- internal ---

/** How long one that speaks keeps its place against others of its network. */
const PATIENCE_MS = 3_000;

interface Entry extends PendingConnection {
  readonly network: string;
  /** On the monotonic clock. */
  readonly since: number;
}
