import { setTimeout as sleep } from "node:timers/promises";
import { patienceMs, SILENCE_LIMIT_MS } from "../../../core/events/watch-patience.js";
import { WatchServiceService } from "../../../proto/gen/mezite/core/v1/watch.js";
import { AgentServiceService } from "../../../proto/gen/mezite/nodes/v1/nodes.js";
import { SessionServiceService } from "../../../proto/gen/mezite/sessions/v1/sessions.js";
import { BeatCounter } from "./beat-counter.js";
import { credentialsOf } from "./fleet-credentials.js";
import { agentName, type FleetOrder, type Followed } from "./fleet-protocol.js";
import { LightChannel } from "./light/light-channel.js";
import { lightIdentityOf } from "./light/light-identity.js";
import type { LightIdentity } from "./light/light-tls.js";
import { LightTunnel } from "./light/light-tunnel.js";
import { WatchCopy } from "./light/watch-copy.js";
import type { LightWorld } from "./light-world.js";
import { SimulatedShell } from "./simulated-shell.js";

/**
 * What the cluster sees of a node's agent, for a fraction of what an agent takes: own identity and connections, a watch stream, the
 * registration, heartbeats, a tunnel, and an SSH server that is made when somebody comes. `simulated-agent.test.ts` holds it to what a
 * real one says. It does not renew its certificate, and does not follow a new Host CA.
 */
export class SimulatedAgent {
  readonly beats = new BeatCounter();
  readonly #copy: WatchCopy;
  #listeners: Partial<Record<Followed, () => void>> = {};
  #channel: LightChannel | null = null;
  #tunnel: LightTunnel | null = null;
  #tunnels = 0;
  #lastSign: number | null = null;
  #mute = 0;
  #isHurried = false;
  #wake: () => void = () => undefined;
  #shell: SimulatedShell | null = null;

  private constructor(
    private readonly order: FleetOrder,
    private readonly world: LightWorld,
    private readonly name: string,
    private readonly identity: LightIdentity,
  ) {
    this.#copy = new WatchCopy(world.trusts, (what) => this.#changed(what));
  }

  /** Reads the identity of the agent with this number, which does not connect yet. */
  static async load(order: FleetOrder, world: LightWorld, index: number): Promise<SimulatedAgent> {
    const name = agentName(index);
    return new SimulatedAgent(order, world, name, lightIdentityOf(await credentialsOf(order.folder, name)));
  }

  /** Resolves when the agent is registered, has a whole copy of what it may see, and its tunnel stands. */
  async connect(): Promise<void> {
    const { order, world, identity } = this;
    const { keyShare, decoder, userAgent } = world;
    const channel = new LightChannel({
      ...{ port: portOf(order.authServer), authority: order.authServer, userAgent, hello: world.rpcHello, keyShare, identity },
    });
    this.#channel = channel;
    const [isCopied, isRegistered, isOpen] = [0, 1, 2].map(() => Promise.withResolvers<void>()) as [Step, Step, Step];
    void this.#follow(channel, isCopied.resolve);
    void this.#report(channel, isCopied.promise, isRegistered.resolve);
    void this.#tellSessions(channel);
    this.#tunnel = new LightTunnel({
      ...{ port: portOf(order.tunnelServer), hello: world.tunnelHello, keyShare, identity, decoder },
      onOpen: () => {
        this.#tunnels += 1;
        isOpen.resolve();
      },
      onStream: (stream, info) => {
        this.#shell ??= new SimulatedShell(credentialsOf(order.folder, this.name));
        this.#shell.serve(stream, info);
      },
    });
    this.#tunnel.open();
    await Promise.all([isCopied.promise, isRegistered.promise, isOpen.promise]);
  }

  /** Closes its connections; nothing is tried again. */
  stop(): void {
    this.#channel?.close();
    this.#tunnel?.close();
  }

  /** Makes a call. @returns The answer. @throws {Error} when there is none */
  call(path: string, request: Buffer): Promise<Buffer> {
    if (this.#channel === null) throw new Error(`${this.name} is not connected`);
    return this.#channel.unary(path, request);
  }

  get hasTunnel(): boolean {
    return this.#tunnel?.isOpen === true;
  }

  /** How often the tunnel was opened again. */
  get tunnelsLost(): number {
    return Math.max(0, this.#tunnels - 1);
  }

  get silentSeconds(): number {
    return this.#lastSign === null ? Number.POSITIVE_INFINITY : (performance.now() - this.#lastSign) / 1000;
  }

  /** Calls `listener` at the next change. */
  onNextChange(what: Followed, listener: () => void): void {
    this.#listeners[what] = listener;
  }

  /** As `RemoteCollections` follows. */
  async #follow(channel: LightChannel, onWhole: () => void): Promise<void> {
    for (let pause = FIRST_WATCH_RETRY_MS; ; ) {
      await this.#watch(channel, onWhole);
      await sleep(pause * (0.5 + Math.random()), undefined, { ref: false });
      pause = this.silentSeconds * 1000 < SILENCE_LIMIT_MS ? FIRST_WATCH_RETRY_MS : Math.min(pause * 2, MAX_WATCH_RETRY_MS);
    }
  }

  /** Until the stream ends, or has been silent for too long. */
  #watch(channel: LightChannel, onWhole: () => void): Promise<void> {
    let heardAt = performance.now();
    let limit = patienceMs(this.#mute);
    let watchdog: NodeJS.Timeout;
    this.#mute += 1;
    this.#copy.begin();
    return new Promise((resolve) => {
      const onMessage = (message: Buffer): void => {
        heardAt = performance.now();
        limit = SILENCE_LIMIT_MS;
        this.#mute = 0;
        this.#copy.take(message);
        if (!this.#copy.isWhole) return;
        this.#lastSign = heardAt;
        onWhole();
      };
      const cancel = channel.stream(WatchServiceService.watch.path, WATCH, onMessage, () => {
        clearTimeout(watchdog);
        resolve();
      });
      const look = (): void => {
        const left = heardAt + limit - performance.now();
        if (left <= 0) cancel();
        else watchdog = setTimeout(look, left).unref();
      };
      look();
    });
  }

  /** As `AgentPresence` reports. */
  async #report(channel: LightChannel, informed: Promise<void>, onRegistered: () => void): Promise<void> {
    const { registerAgent, agentHeartbeat } = AgentServiceService;
    await Promise.race([informed, sleep(MAX_UNINFORMED_MS, undefined, { ref: false })]);
    for (let retry = FIRST_REPORT_RETRY_MS; ; retry = Math.min(retry * 2, MAX_REPORT_RETRY_MS)) {
      try {
        this.#isHurried = false;
        const answer = await channel.unary(registerAgent.path, this.#copy.trust.registration);
        const { heartbeatIntervalSeconds } = registerAgent.responseDeserialize(answer);
        this.beats.begin(heartbeatIntervalSeconds);
        onRegistered();
        retry = FIRST_REPORT_RETRY_MS;
        for (;;) {
          await this.#rest(heartbeatIntervalSeconds * 1000 * (0.9 + 0.1 * Math.random()));
          this.#isHurried = false;
          await this.beats.count(channel.unary(agentHeartbeat.path, this.#copy.trust.heartbeat).then(() => undefined));
        }
      } catch {
        await sleep(retry * (0.5 + Math.random()), undefined, { ref: false });
      }
    }
  }

  /** As `RemoteSessionReporter` gives signs of life; it has no session to tell of. */
  async #tellSessions(channel: LightChannel): Promise<void> {
    const { path, responseDeserialize } = SessionServiceService.report;
    let isListWanted = true;
    for (let failures = 0; ; ) {
      try {
        const answer = await channel.unary(path, isListWanted ? LIVE_LIST : SIGN_OF_LIFE);
        failures = 0;
        isListWanted = responseDeserialize(answer).sendLive;
        if (isListWanted) continue;
      } catch {
        failures += 1;
      }
      const retry = FIRST_SIGN_RETRY_MS * Math.min(2 ** (failures - 1), 16) * (0.5 + Math.random());
      await sleep(failures > 0 ? retry : SIGN_OF_LIFE_MS * (0.9 + 0.1 * Math.random()), undefined, { ref: false });
    }
  }

  async #rest(milliseconds: number): Promise<void> {
    let left = milliseconds;
    do {
      await this.#pause(Math.min(left, LOOK_EVERY_MS));
      left -= LOOK_EVERY_MS;
    } while (left > 0 && !this.#isHurried && this.silentSeconds <= CUT_OFF_SECONDS);
  }

  #pause(milliseconds: number): Promise<void> {
    if (this.#isHurried) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, milliseconds).unref();
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #changed(what: Followed | "ca-keys"): void {
    if (what === "ca-keys") {
      this.#isHurried = true;
      this.#wake();
      return;
    }
    const listener = this.#listeners[what];
    delete this.#listeners[what];
    listener?.();
  }
}

// --- internal ---

type Step = PromiseWithResolvers<void>;

const WATCH = WatchServiceService.watch.requestSerialize({ batches: true });

const NO_SESSIONS = { processId: `${process.pid}.${performance.timeOrigin}`, events: [], live: undefined, asking: [] };
const SIGN_OF_LIFE = SessionServiceService.report.requestSerialize(NO_SESSIONS);
const LIVE_LIST = SessionServiceService.report.requestSerialize({ ...NO_SESSIONS, live: { sessions: [], otherIds: [] } });

// The figures of `core/events/remote-collections.ts`, `plugins/nodes/agent-presence.ts` and `plugins/sessions/remote-session-reporter.ts`.
const FIRST_WATCH_RETRY_MS = 200;
const MAX_WATCH_RETRY_MS = 2_000;
const FIRST_REPORT_RETRY_MS = 500;
const MAX_REPORT_RETRY_MS = 20_000;
const MAX_UNINFORMED_MS = 2_000;
const LOOK_EVERY_MS = 20_000;
const CUT_OFF_SECONDS = 15;
const SIGN_OF_LIFE_MS = 240_000;
const FIRST_SIGN_RETRY_MS = 1_000;

function portOf(address: string): number {
  return Number(address.slice(address.lastIndexOf(":") + 1));
}
