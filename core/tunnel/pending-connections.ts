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
    this.#entries.set(id, entry);
    return entry;
  }

  get(id: string): Socket | null {
    return this.#entries.get(id)?.socket ?? null;
  }

  delete(id: string): void {
    this.#entries.delete(id);
  }

  closeAll(): void {
    for (const { socket } of this.#entries.values()) socket.destroy();
  }

  #makeRoomFor(network: string): boolean {
    const counts = new Map<string, number>();
    for (const entry of this.#entries.values()) counts.set(entry.network, (counts.get(entry.network) ?? 0) + 1);
    const most = Math.max(...counts.values());
    const own = counts.get(network) ?? 0;
    const isOthersTurn = own + 1 < most;
    const candidates = [...this.#entries].filter(([, entry]) => {
      if (isOthersTurn) return counts.get(entry.network) === most;
      return own === 0 || entry.network === network;
    });
    const [id, entry] = candidates.find(([, { speaks }]) => !speaks) ?? candidates[0] ?? [];
    if (id === undefined || entry === undefined) return false;
    if (!isOthersTurn && entry.speaks && performance.now() - entry.since < PATIENCE_MS) return false;
    this.#entries.delete(id);
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
