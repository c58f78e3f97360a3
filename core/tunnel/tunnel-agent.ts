import type { Duplex } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import type { SecureContext } from "node:tls";
import { MezError, messageOf } from "../errors/error.js";
import type { Lifecycle } from "../plugin/contract.js";
import type { Logger } from "../plugin/logger.js";
import { BackOff } from "../time/back-off.js";
import { AgentLink } from "./agent-link.js";
import { DialPatience } from "./dial-patience.js";
import type { SessionEnd } from "./session-end.js";
import type { TunnelStreamInfo } from "./stream-headers.js";
import {
  ANSWER_SECONDS,
  HANDSHAKE_SECONDS,
  PING_INTERVAL_SECONDS,
  type SessionEncryption,
  type TunnelCredentials,
  tunnelSecureContext,
} from "./tunnel-protocol.js";

export type TunnelAgentState = "idle" | "connecting" | "connected" | "waiting" | "draining" | "closed";

export interface TunnelAgentOptions {
  /** `host:port` of the same proxy, tried in order. An agent that serves several proxies has one `TunnelAgent` for each. */
  readonly addresses: readonly string[];
  /** Asked before each dial, so renewed credentials, another object, are used from the next connection on. */
  readonly credentials: () => TunnelCredentials;
  /** DNS name that the proxy's certificate must carry. */
  readonly serverName: string;
  /** Receives each session's connection, already accepted. */
  readonly onStream: (stream: Duplex, info: TunnelStreamInfo) => void;
  /** Receives which session the proxy wants to end, and why; only of those whose stream came through this agent. */
  readonly onSessionEnd?: (end: SessionEnd) => void;
  readonly onStateChange?: (state: TunnelAgentState) => void;
  readonly logger: Logger;
  /** `ssh`: streams come without TLS where the proxy allows it. Default `tls`. */
  readonly sessionEncryption?: SessionEncryption;
  /** From 0 up to 1; default `Math.random`. */
  readonly random?: () => number;
  /** First and longest wait between attempts; default 0.5 and 4, so that a proxy has its nodes soon after it is back. */
  readonly retrySeconds?: { readonly first: number; readonly max: number };
  /** Default 10. */
  readonly handshakeSeconds?: number;
  /** For the tunnel's proxy to answer once it has taken the connection, see `DialPatience`. Default 30. */
  readonly answerSeconds?: number;
  /** Default 15. */
  readonly pingIntervalSeconds?: number;
}

/** The agent's side of reverse tunnels: keeps one tunnel to a proxy open, whatever happens to the network. */
export class TunnelAgent implements Lifecycle {
  readonly #options: TunnelAgentOptions;
  readonly #backOff: BackOff;
  readonly #patience = new Map<string, DialPatience>();
  readonly #stop = new AbortController();
  readonly #links = new Set<AgentLink>();
  /** Streams under way, with the sessions that they are of. */
  readonly #streams = new Map<Duplex, string>();
  #renew = new AbortController();
  #context: { readonly credentials: TunnelCredentials; readonly context: SecureContext } | null = null;
  #state: TunnelAgentState = "idle";
  #told = "";
  #running: Promise<void> = Promise.resolve();

  constructor(options: TunnelAgentOptions) {
    this.#options = options;
    const { first, max } = options.retrySeconds ?? { first: 0.5, max: 4 };
    this.#backOff = new BackOff(first, max, options.random ?? Math.random);
  }

  get state(): TunnelAgentState {
    return this.#state;
  }

  /** Begins to dial and returns at once; the state tells when a tunnel stands. */
  async start(): Promise<void> {
    if (this.#state !== "idle") throw new MezError("INTERNAL", "a tunnel agent starts once");
    this.#running = this.#run();
  }

  /** Opens a second tunnel with the current credentials, then drains the first: no moment offline, no session ended. */
  renew(): void {
    this.#renew.abort();
  }

  /** Takes no new streams; those under way go on. */
  async drain(): Promise<void> {
    if (this.#state === "closed") return;
    this.#stop.abort();
    this.#enter("draining");
    for (const link of this.#links) link.drain();
  }

  /** Ends the tunnel and every stream. */
  async dispose(): Promise<void> {
    this.#stop.abort();
    for (const link of this.#links) link.destroy();
    for (const stream of this.#streams.keys()) stream.destroy();
    await this.#running;
    this.#enter("closed");
  }

  async #run(): Promise<void> {
    let previous: AgentLink | null = null;
    while (!this.#stop.signal.aborted) {
      if (previous === null) this.#enter("connecting");
      const link = await this.#dial();
      if (link === null) {
        if (previous !== null && !previous.isOpen) previous = null;
        await this.#wait(previous === null);
        continue;
      }
      previous?.drain();
      this.#enter("connected");
      previous = (await this.#untilEndOrRenewal(link)) ? link : null;
      if (previous === null) await this.#wait(true);
    }
  }

  /** One attempt at every address; `null` when none answered. */
  async #dial(): Promise<AgentLink | null> {
    const { addresses, serverName, logger } = this.#options;
    const onStream = (stream: Duplex, info: TunnelStreamInfo) => this.#receive(stream, info);
    const onSessionEnd = (end: SessionEnd) => this.#endSession(end);
    this.#renew = new AbortController();
    for (const address of addresses) {
      if (this.#stop.signal.aborted) break;
      try {
        const secureContext = this.#secureContext();
        const { handshakeSeconds = HANDSHAKE_SECONDS, pingIntervalSeconds = PING_INTERVAL_SECONDS } = this.#options;
        const { sessionEncryption = "tls" } = this.#options;
        const limits = { handshakeSeconds, pingIntervalSeconds };
        const link = await AgentLink.dial(
          {
            ...{ address, secureContext, serverName, ...limits, sessionEncryption, onStream, onSessionEnd },
            patience: this.#patienceFor(address),
          },
          this.#stop.signal,
        );
        if (!this.#stop.signal.aborted) {
          this.#keep(link, address);
          return link;
        }
        link.destroy();
      } catch (error) {
        const reason = messageOf(error);
        // The same again and again would bury what else the log says.
        if (!this.#stop.signal.aborted)
          logger[this.#told === reason ? "debug" : "warn"]("tunnel did not open", { address, error: reason });
        this.#told = reason;
      }
    }
    return null;
  }

  /** Reading keys and certificates costs more than a dial that is refused, of which there are many while a proxy is away. */
  #secureContext(): SecureContext {
    const credentials = this.#options.credentials();
    if (this.#context?.credentials !== credentials) this.#context = { credentials, context: tunnelSecureContext(credentials) };
    return this.#context.context;
  }

  #patienceFor(address: string): DialPatience {
    const patience = this.#patience.get(address) ?? new DialPatience(this.#options.answerSeconds ?? ANSWER_SECONDS);
    this.#patience.set(address, patience);
    return patience;
  }

  #receive(stream: Duplex, info: TunnelStreamInfo): void {
    this.#streams.set(stream, info.sessionId);
    stream.once("close", () => this.#streams.delete(stream));
    if (this.#state === "closed") stream.destroy();
    else this.#options.onStream(stream, info);
  }

  #endSession(end: SessionEnd): void {
    if ([...this.#streams.values()].includes(end.sessionId)) this.#options.onSessionEnd?.(end);
  }

  #keep(link: AgentLink, address: string): void {
    const { logger } = this.#options;
    logger.info("tunnel open", { address });
    this.#links.add(link);
    this.#told = "";
    this.#backOff.reset();
    void link.ended.then((reason) => {
      this.#links.delete(link);
      logger.info("tunnel closed", { address, reason });
    });
  }

  /** True when a renewal was asked for and the link still stands. */
  async #untilEndOrRenewal(link: AgentLink): Promise<boolean> {
    const renewal = this.#renew.signal;
    const asked = new Promise<void>((resolve) => {
      if (renewal.aborted) resolve();
      else renewal.addEventListener("abort", () => resolve(), { once: true });
    });
    await Promise.race([link.ended, asked]);
    return link.isOpen;
  }

  async #wait(isOffline: boolean): Promise<void> {
    if (this.#stop.signal.aborted) return;
    if (isOffline) this.#enter("waiting");
    await sleep(this.#backOff.nextSeconds() * 1000, undefined, { signal: this.#stop.signal }).catch(() => undefined);
  }

  #enter(state: TunnelAgentState): void {
    if (this.#state === state || this.#state === "closed") return;
    if (this.#stop.signal.aborted && state !== "draining" && state !== "closed") return;
    this.#state = state;
    this.#options.onStateChange?.(state);
  }
}
