import type { Duplex } from "node:stream";
import { MezError } from "../errors/error.js";
import type { SessionEnd } from "./session-end.js";
import type { TunnelStreamInfo } from "./stream-headers.js";
import { nodeOffline, type Tunnel } from "./tunnel.js";
import type { SessionEncryption } from "./tunnel-protocol.js";

export type TunnelChangeListener = (change: "connected" | "disconnected", tunnel: Tunnel) => void;

/** Which nodes are connected to this proxy, and through which tunnels. A node may have several; the newest is used. */
export class TunnelDirectory {
  /** Oldest first under each name. */
  readonly #tunnels = new Map<string, Tunnel[]>();
  /** Streams under way; they outlive the tunnel that they were asked for through. */
  readonly #streams = new Map<string, Set<Duplex>>();
  readonly #listeners = new Set<TunnelChangeListener>();

  /** Lists a tunnel until it closes. Give this to the `TunnelListener` as `onTunnel`. */
  add(tunnel: Tunnel): void {
    const { nodeName } = tunnel.peer;
    this.#tunnels.set(nodeName, [...this.of(nodeName), tunnel]);
    tunnel.onClosed(() => this.#remove(tunnel));
    this.#tell("connected", tunnel);
  }

  /**
   * Opens a stream to a node through its newest tunnel that takes streams.
   * @param encryption See `Tunnel.open`.
   * @throws {MezError} `NODE_OFFLINE`, `TUNNEL_LOST`; see `Tunnel.open`.
   */
  async open(info: TunnelStreamInfo, signal?: AbortSignal, encryption: SessionEncryption = "tls"): Promise<Duplex> {
    const tunnel = this.of(info.nodeName).findLast((candidate) => candidate.isOpen);
    if (tunnel === undefined) throw nodeOffline(info.nodeName);
    const stream = await tunnel.open(info, signal, encryption);
    this.#keep(info.nodeName, stream);
    return stream;
  }

  /** Has a node end a session and say why, when it is connected here. */
  tellEnd(nodeName: string, end: SessionEnd): void {
    this.of(nodeName)
      .findLast((candidate) => candidate.isOpen)
      ?.tellEnd(end);
  }

  /** Streams to the node that are under way. */
  streamCount(nodeName: string): number {
    return this.#streams.get(nodeName)?.size ?? 0;
  }

  /** Tells whether a stream to the node could be opened now. */
  isOnline(nodeName: string): boolean {
    return this.of(nodeName).some((tunnel) => tunnel.isOpen);
  }

  /** The tunnels of one node, oldest first, those that drain included. */
  of(nodeName: string): readonly Tunnel[] {
    return this.#tunnels.get(nodeName) ?? [];
  }

  /** Every tunnel, by node name. */
  all(): readonly Tunnel[] {
    return [...this.#tunnels.keys()].sort().flatMap((nodeName) => this.of(nodeName));
  }

  /**
   * Ends every tunnel of a node with all of its streams, e.g. because it was removed or locked.
   * @param farewellMs How much longer the streams that are there now may go on.
   */
  disconnect(nodeName: string, reason: string, farewellMs = 0): void {
    for (const tunnel of this.of(nodeName)) tunnel.close(reason);
    const streams = [...(this.#streams.get(nodeName) ?? [])];
    const cut = (): void => {
      for (const stream of streams) stream.destroy(new MezError("TUNNEL_LOST", reason));
    };
    if (farewellMs === 0) cut();
    else setTimeout(cut, farewellMs).unref();
  }

  /** Ends every tunnel and every stream. */
  disconnectAll(reason: string): void {
    for (const nodeName of new Set([...this.#tunnels.keys(), ...this.#streams.keys()])) this.disconnect(nodeName, reason);
  }

  /** Calls `listener` with each tunnel that comes or goes; the returned function ends that. */
  onChange(listener: TunnelChangeListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #keep(nodeName: string, stream: Duplex): void {
    const streams = this.#streams.get(nodeName) ?? new Set();
    this.#streams.set(nodeName, streams.add(stream));
    stream.once("close", () => {
      streams.delete(stream);
      if (streams.size === 0 && this.#streams.get(nodeName) === streams) this.#streams.delete(nodeName);
    });
  }

  #remove(tunnel: Tunnel): void {
    const { nodeName } = tunnel.peer;
    const rest = this.of(nodeName).filter((other) => other !== tunnel);
    if (rest.length === 0) this.#tunnels.delete(nodeName);
    else this.#tunnels.set(nodeName, [...rest]);
    this.#tell("disconnected", tunnel);
  }

  #tell(change: "connected" | "disconnected", tunnel: Tunnel): void {
    for (const listener of this.#listeners) listener(change, tunnel);
  }
}
