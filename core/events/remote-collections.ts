import { uptime } from "node:os";
import { setTimeout as delay } from "node:timers/promises";
import { type WatchMessage, WatchServiceService } from "../../proto/gen/mezite/core/v1/watch.js";
import { isMezError, messageOf } from "../errors/error.js";
import type { Collection, CollectionKind, Collections } from "../plugin/collection.js";
import type { Logger } from "../plugin/logger.js";
import type { RpcConnection } from "../plugin/rpc.js";
import { CollectionRegistry, parseKindId } from "./collections.js";
import { patienceMs, SILENCE_LIMIT_MS } from "./watch-patience.js";

const RETRY_MIN_MS = 200;
// With what the transport waits besides, less than 5 s from the return of the auth service to a stream.
const RETRY_MAX_MS = 2_000;
const REFUSED_RETRY_MAX_MS = 5_000;

/**
 * The collections of a proxy or a node: copies that a watch stream keeps up to date. When the stream breaks, the copies
 * stay as they are and `silentSeconds` grows; a new stream begins with everything again.
 */
export class RemoteCollections implements Collections {
  readonly #registry = new CollectionRegistry();
  readonly #stop = new AbortController();
  #connection: RpcConnection | null = null;
  #running: Promise<void> | null = null;
  #lastSign: number | null = null;
  #stream: AbortController | null = null;
  /** Streams one after the other on which nothing came. */
  #mute = 0;
  #markReady: () => void = () => {};
  readonly #ready = new Promise<void>((resolve) => {
    this.#markReady = resolve;
  });

  /** @param steadySeconds A clock that nobody sets, and that goes on while the machine sleeps. */
  constructor(
    private readonly logger: Logger,
    private readonly steadySeconds: () => number = uptime,
  ) {}

  of<T>(kind: CollectionKind<T>): Collection<T> {
    return this.#registry.of(kind);
  }

  ready(): Promise<void> {
    return this.#ready;
  }

  silentSeconds(): number {
    return this.#lastSign === null ? Number.POSITIVE_INFINITY : Math.max(0, this.steadySeconds() - this.#lastSign);
  }

  follow(connection: RpcConnection): void {
    if (this.#connection === connection) return;
    this.#connection = connection;
    this.#stream?.abort();
    this.#running ??= this.#run();
  }

  async close(): Promise<void> {
    this.#stop.abort();
    this.#stream?.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    let pause = RETRY_MIN_MS;
    let told = "";
    while (!this.#stop.signal.aborted) {
      let isRefused = false;
      try {
        await this.#watch();
        told = "";
      } catch (error) {
        if (this.#stop.signal.aborted) return;
        isRefused = isMezError(error, "UNAUTHENTICATED", "ACCESS_DENIED");
        const reason = messageOf(error);
        // The same reason again and again would bury what else the log says.
        if (reason !== told)
          this.logger.warn("the watch stream to the auth service broke; trying again", {
            error: reason,
            silentSeconds: Math.round(this.silentSeconds()),
          });
        told = reason;
      }
      await delay(pause * (0.5 + Math.random()), undefined, { signal: this.#stop.signal, ref: false }).catch(() => {});
      const isShort = !isRefused && this.silentSeconds() < SILENCE_LIMIT_MS / 1000;
      pause = isShort ? RETRY_MIN_MS : Math.min(pause * 2, isRefused ? REFUSED_RETRY_MAX_MS : RETRY_MAX_MS);
    }
  }

  async #watch(): Promise<void> {
    const stream = new AbortController();
    this.#stream = stream;
    const connection = this.#connection as RpcConnection;
    const client = connection.client(WatchServiceService);
    const giveUp = (): void => {
      connection.moveOn?.();
      stream.abort();
    };
    let watchdog = setTimeout(giveUp, patienceMs(this.#mute));
    this.#mute += 1;
    let snapshot: Map<string, Map<string, unknown>> | null = new Map();
    try {
      for await (const received of client.watch({ batches: true }, { signal: stream.signal })) {
        this.#mute = 0;
        clearTimeout(watchdog);
        watchdog = setTimeout(giveUp, SILENCE_LIMIT_MS);
        for (const message of unpacked(received)) {
          if (message?.$case === "put") {
            const { kind, key, value } = message.put;
            const parsed: unknown = JSON.parse(value);
            if (snapshot === null) this.#registry.apply([{ kind: parseKindId(kind), key, value: parsed }]);
            else collect(snapshot, parseKindId(kind)).set(key, parsed);
          } else if (message?.$case === "remove") {
            this.#registry.apply([{ kind: parseKindId(message.remove.kind), key: message.remove.key }]);
          } else if (message?.$case === "snapshotComplete" && snapshot !== null) {
            this.#replace(snapshot);
            snapshot = null;
            this.#markReady();
          }
        }
        // Before it is whole, a new copy makes the old one no younger.
        if (snapshot === null) this.#lastSign = this.steadySeconds();
      }
    } finally {
      clearTimeout(watchdog);
      stream.abort();
    }
  }

  /** A collection that the new snapshot does not mention is empty now. */
  #replace(snapshot: ReadonlyMap<string, ReadonlyMap<string, unknown>>): void {
    for (const id of new Set([...snapshot.keys(), ...this.#registry.ids()])) {
      this.#registry.byId(id).replace(snapshot.get(id) ?? new Map());
    }
  }
}

// --- internal ---

function unpacked({ message }: WatchMessage): readonly WatchMessage["message"][] {
  return message?.$case === "batch" ? message.batch.messages.map((each) => each.message) : [message];
}

function collect(snapshot: Map<string, Map<string, unknown>>, kind: string): Map<string, unknown> {
  const known = snapshot.get(kind) ?? new Map<string, unknown>();
  snapshot.set(kind, known);
  return known;
}
