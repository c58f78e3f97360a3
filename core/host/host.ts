import { setTimeout as delay } from "node:timers/promises";
import type { MezError } from "../errors/error.js";
import type { Logger } from "../plugin/logger.js";
import type { PackageIdentity, PluginHost } from "../plugin/plugin-host.js";
import type { ProcessInfo } from "../plugin/process.js";
import { grpcDialer } from "../rpc/client.js";
import { ProcessLiveSessions } from "../sessions/live-sessions.js";
import type { Clock } from "../time/clock.js";
import { ClusterState } from "./cluster-state.js";
import { coreServices } from "./core-services.js";
import { Doors } from "./doors.js";
import { Generations } from "./generations.js";
import type { HostSettings } from "./host-settings.js";
import type { PackageLeniency } from "./package-leniency.js";
import { PluginControls } from "./plugin-controls.js";
import type { PluginDecisions } from "./plugin-decisions.js";

const STOP_GRACE_MS = 10_000;
const LAST_ANSWERS_MS = 250;

export interface HostOptions extends HostSettings {
  /** Reads the configuration again with the plugins that commands added, for `reload`. */
  readonly readSettings: (decisions: PluginDecisions, leniency: PackageLeniency) => Promise<HostSettings>;
  /** Looks at a package of this machine; absent in a process that takes none from commands. */
  readonly identifyPackage?: (from: string) => Promise<PackageIdentity>;
  readonly process: ProcessInfo;
  readonly clock: Clock;
  readonly logger: (pluginId: string) => Logger;
}

/** Runs the plugins of one process: boots them, serves what they offer, and takes everything down again. */
export class Host {
  readonly #logger: Logger;
  readonly #state: ClusterState;
  readonly #doors: Doors;
  readonly #generations: Generations;
  readonly #liveSessions = new ProcessLiveSessions();
  readonly #controls: PluginControls;
  #isReady = false;
  readonly #broken = Promise.withResolvers<never>();

  constructor(options: HostOptions) {
    const { process, clock, logger } = options;
    const common = { process, clock, logger: logger("core"), generation: () => this.#generations.current };
    this.#logger = common.logger;
    this.#doors = new Doors({ ...common, isReady: () => this.#isReady });
    this.#state = new ClusterState({
      ...common,
      subscribers: (topic) => this.#doors.subscribers(topic),
      onBroken: (failure) => this.#break(failure),
    });
    this.#broken.promise.catch(() => "told to whoever waits for it");
    this.#controls = new PluginControls({
      ...options,
      settings: options,
      state: this.#state,
      generations: () => this.#generations,
      address: () => this.#doors.authAddress,
      logger: common.logger,
    });
    this.#generations = new Generations({
      core: coreServices({
        process,
        clock,
        logger,
        database: this.#state.database,
        duties: this.#state.duties,
        collections: this.#state.collections,
        liveSessions: this.#liveSessions,
        dialer: grpcDialer,
        authDoor: this.#doors.auth,
        webDoor: this.#doors.web,
        pluginHost: this.#controls,
      }),
      state: this.#state,
      logger: common.logger,
      onAdopted: (generation) => this.#doors.serve(generation),
    });
  }

  /**
   * Never resolves.
   * @throws {MezError} `STORAGE_FLUSH_FAILED` when nothing can be served any more; the process has to end then without `stop`, and a new
   * one finds out what is on the disk.
   */
  get broken(): Promise<never> {
    return this.#broken.promise;
  }

  /** Switches plugins and tells of them. */
  get plugins(): PluginHost {
    return this.#controls;
  }

  /** Where the auth service listens, `null` in a process without it. */
  get authAddress(): string | null {
    return this.#doors.authAddress;
  }

  /** A service of the running generation, for the boot code; plugins use `resolve`. */
  provided<T>(token: { readonly id: string; readonly version: number; readonly type?: T }): T | null {
    return this.#generations.current.provided(token);
  }

  /**
   * Boots: assembles, builds, opens the database, starts every plugin in order, then answers calls. All or nothing.
   * @throws {MezError} naming the plugin and the hook that failed; everything started until then has been taken down.
   */
  async start(): Promise<void> {
    await this.#controls.assemble();
    try {
      await this.#controls.begin();
      this.#state.deliverLeftovers();
      await this.#controls.join();
      this.#controls.tellProblems();
      await this.#doors.listen(this.#controls.config.auth.listenAddress, this.#generations.current, this.#state);
      this.#controls.follow();
      this.#isReady = true;
    } catch (error) {
      await this.#takeDown();
      throw error;
    }
  }

  /** Ends live sessions with a reason, then stops every plugin in reverse order and frees everything. */
  async stop(): Promise<void> {
    await this.#controls.stop();
    this.#isReady = false;
    await this.#generations.drain();
    for (const session of this.#liveSessions.all()) session.end("the server is shutting down");
    await Promise.race([this.#generations.idle(), delay(STOP_GRACE_MS, undefined, { ref: false })]);
    await this.#takeDown();
  }

  #break(failure: MezError): void {
    this.#isReady = false;
    this.#logger.error("the database is not served any more, and this process ends: start it again", { error: failure.detail });
    // Those who wait for an answer get theirs first.
    setTimeout(() => this.#broken.reject(failure), LAST_ANSWERS_MS);
  }

  async #takeDown(): Promise<void> {
    await this.#doors.close();
    await this.#generations.dispose();
    await this.#state.close();
  }
}
