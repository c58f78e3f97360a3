import { isMezError, MezError, messageOf } from "../errors/error.js";
import type { Logger } from "../plugin/logger.js";
import type { PluginHealth } from "../plugin/plugin-host.js";
import { BackOff } from "../time/back-off.js";
import type { IsolatedPort } from "./isolated-ports.js";
import type { IsolatedProcess } from "./isolated-process.js";
import type { Started } from "./wire.js";

/** A process that has registered and started. */
export interface Launched {
  readonly child: Pick<IsolatedProcess, "pid" | "memoryBytes" | "call" | "end" | "kill" | "ended">;
  readonly started: Started;
}

export interface SupervisorOptions {
  readonly id: string;
  readonly logger: Logger;
  /** @param onEnded Called once when the process ends, however that comes. @throws {MezError} when it does not start */
  readonly launch: (onEnded: (why: string) => void) => Promise<Launched>;
  /** How long a process has to last for the next failure to count as the first; default 60 s. */
  readonly steadyMs?: number;
  readonly backOff?: BackOff;
}

/** Keeps the process of one isolated plugin running, and leads calls to whichever one that is. */
export class Supervisor {
  #launched: Launched | null = null;
  #isOver = false;
  #restarts = 0;
  #lastFailure: string | null = null;
  #timer: NodeJS.Timeout | null = null;
  #startedAt = 0;
  #faultLoggedAt = Number.NEGATIVE_INFINITY;
  readonly #backOff: BackOff;

  constructor(private readonly options: SupervisorOptions) {
    this.#backOff = options.backOff ?? new BackOff(1, 60, Math.random);
  }

  /** The first process has to start; from then on one that ends is followed by another. @throws {MezError} what it throws */
  async start(): Promise<void> {
    await this.#launch();
  }

  async drain(): Promise<void> {
    await this.#launched?.child.end("drain");
  }

  /** Has the plugin clean up, and ends its process. */
  async dispose(): Promise<void> {
    this.#isOver = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    const child = this.#launched?.child;
    this.#launched = null;
    try {
      await child?.end("dispose");
    } finally {
      child?.kill("it was disposed");
      await child?.ended();
    }
  }

  health(): PluginHealth {
    const pid = this.#launched?.child.pid ?? null;
    return {
      state: this.#launched === null ? "restarting" : "running",
      restarts: this.#restarts,
      pid,
      memoryBytes: this.#launched?.child.memoryBytes ?? null,
      lastFailure: this.#lastFailure,
    };
  }

  /** An implementation of a port whose methods are calls to the process. */
  implementation(rules: IsolatedPort, name: string): object {
    const { port, methods, properties = {} } = rules;
    const made: Record<string, unknown> = {};
    for (const [method, rule] of Object.entries(methods)) {
      made[method] = (...args: unknown[]) => this.#call(port.id, name, method, rule, args);
    }
    for (const [key, accepts] of Object.entries(properties)) {
      Object.defineProperty(made, key, {
        enumerable: true,
        get: () => {
          const own = this.#launched?.started.properties.find((each) => each?.port === port.id && each.name === name);
          const value = own?.values?.[key];
          return accepts(value) ? value : undefined;
        },
      });
    }
    return made;
  }

  async #call(...[port, name, method, rule, args]: Parameters<IsolatedProcess["call"]>): Promise<unknown> {
    try {
      return await this.#child().call(port, name, method, rule, args);
    } catch (error) {
      if (isMezError(error, "INTERNAL") && error.detail !== undefined) this.#onFault(`${method}(): ${error.detail}`);
      throw error;
    }
  }

  /** The plugin threw what is no error for people: whoever called learns nothing of it, whoever runs the server all. */
  #onFault(what: string): void {
    this.#lastFailure = what;
    const now = performance.now();
    if (now - this.#faultLoggedAt < FAULT_LOG_MS) return;
    this.#faultLoggedAt = now;
    this.options.logger.error("a call to the plugin failed", { error: what });
  }

  #child(): Launched["child"] {
    if (this.#launched !== null) return this.#launched.child;
    const [why, detail] = this.#lastFailure === null ? ["is not running"] : ["failed and is started again", this.#lastFailure];
    throw new MezError("PLUGIN_UNAVAILABLE", `plugin "${this.options.id}" is not available: it ${why}`, { detail });
  }

  async #launch(): Promise<void> {
    let hasStarted = false;
    let hasEnded = false;
    const launched = await this.options.launch((why) => {
      hasEnded = true;
      if (hasStarted) this.#onEnded(why);
    });
    hasStarted = true;
    this.#launched = launched;
    this.#startedAt = performance.now();
    if (hasEnded) this.#onEnded("it ended as soon as it had started");
    if (this.#isOver) launched.child.kill("it was disposed");
  }

  #onEnded(why: string): void {
    this.#launched = null;
    if (this.#isOver) return;
    this.#lastFailure = why;
    if (performance.now() - this.#startedAt > (this.options.steadyMs ?? 60_000)) this.#backOff.reset();
    this.#again(`the process of the plugin has ended: ${why}`);
  }

  #again(message: string): void {
    const seconds = this.#backOff.nextSeconds();
    this.options.logger.error(message, { restartInSeconds: Math.round(seconds * 10) / 10 });
    this.#timer = setTimeout(() => {
      this.#restarts += 1;
      this.#launch().then(
        () => this.options.logger.info("the plugin runs again", { restarts: this.#restarts }),
        (error: unknown) => {
          this.#lastFailure = messageOf(error);
          if (!this.#isOver) this.#again(`the plugin did not start again: ${messageOf(error)}`);
        },
      );
    }, seconds * 1000);
    this.#timer.unref();
  }
}

// --- internal ---

/** Whoever can call can make it fail as often: one line is enough. */
const FAULT_LOG_MS = 1000;
