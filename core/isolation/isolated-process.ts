import type { ChildProcess } from "node:child_process";
import { Readable } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import type { ErrorCode } from "../errors/codes.js";
import { isMezError, MezError } from "../errors/error.js";
import type { Logger } from "../plugin/logger.js";
import { type ChildOptions, connectionOf, mayStartOthers, spawnChild } from "./child-process.js";
import { FrameLink } from "./frame-link.js";
import { IncomingStream } from "./incoming-stream.js";
import type { IsolatedMethod } from "./isolated-ports.js";
import { logLine } from "./log-line.js";
import { plainText } from "./plugin-text.js";
import { ProcessFamily } from "./process-family.js";
import { LOOK_MS, processorWaitMs, STAND_STILL_MS, StandStill } from "./stand-still.js";
import {
  FROM_HOST,
  FROM_PLUGIN,
  fromWireError,
  type Introduction,
  type Registration,
  type Reply,
  type Request,
  replyLimits,
  type Started,
} from "./wire.js";

export interface IsolatedProcessOptions extends ChildOptions {
  readonly introduction: Introduction;
  readonly logger: Logger;
  /** Called once, when the process has ended, with why. */
  readonly onEnded: (why: string) => void;
}

/** One process of an isolated plugin, as the host sees it: calls go in, answers come out, and whatever it does ends with it. */
export class IsolatedProcess {
  readonly #child: ChildProcess;
  readonly #link: FrameLink;
  readonly #calls = new Map<number, PendingCall>();
  readonly #streams = new Map<number, IncomingStream>();
  readonly #family: ProcessFamily;
  readonly #ended: Promise<void>;
  readonly #memoryWatch: NodeJS.Timeout;
  #lastCall = 0;
  #why: string | null = null;
  #errorOutput = "";
  #isAlive = true;
  /** Whether it lives, since a call was too late. */
  #isAsked = false;
  #logLines = 0;

  constructor(private readonly options: IsolatedProcessOptions) {
    this.#family = new ProcessFamily(mayStartOthers(options));
    this.#child = spawnChild(options, this.#family.environment);
    this.#ended = new Promise((resolve) => {
      this.#child.once("error", (error) => {
        this.#why ??= error.message;
        resolve(this.#onEnded());
      });
      // Not "close": what it started may hold standard error open. What it said before its end has come by the next turn.
      this.#child.once("exit", () => {
        if (this.pid !== null) this.#family.kill(this.pid); // what it started and left
        setImmediate(() => resolve(this.#onEnded()));
      });
    });
    this.#child.stderr?.setEncoding("utf8").on("data", (text: string) => this.#onErrorOutput(text));
    this.#link = new FrameLink(
      connectionOf(this.#child),
      { sent: () => FROM_HOST, most: FROM_PLUGIN, received: replyLimits },
      (message) => this.#take(message as Reply),
      (problem) => this.kill(problem === null ? "it closed its connection" : `it broke the protocol: ${problem.message}`),
    );
    this.#memoryWatch = setInterval(() => this.#watchMemory(), MEMORY_WATCH_MS);
    this.#memoryWatch.unref();
  }

  /** Resident memory of it and of all that it started; `null` where that cannot be known. */
  get memoryBytes(): number | null {
    return this.pid === null ? null : this.#family.residentBytes(this.pid);
  }

  get pid(): number | null {
    return this.#child.pid ?? null;
  }

  /** Imports the plugin and has it register. @throws {MezError} `PLUGIN_REGISTER_FAILED` with the reason; what it throws */
  async introduce(): Promise<Registration> {
    const { introduction } = this.options;
    const request = { type: "introduce", call: this.#next(), introduction } as const;
    const answer = await this.#ask(request, START_MS, "register").catch((error: unknown) => {
      throw withReason(error, "PLUGIN_REGISTER_FAILED", `registering plugin "${introduction.id}": `);
    });
    const { implementations } = (answer ?? {}) as Partial<Registration>;
    return { implementations: Array.isArray(implementations) ? implementations : [] };
  }

  /** @throws {MezError} `PLUGIN_START_FAILED` with the reason; what it throws */
  async start(): Promise<Started> {
    const request = { type: "hook", call: this.#next(), hook: "start" } as const;
    const answer = (await this.#ask(request, START_MS, "start").catch((error: unknown) => {
      throw withReason(error, "PLUGIN_START_FAILED", "");
    })) as Partial<Started> | null;
    return { properties: Array.isArray(answer?.properties) ? answer.properties : [] };
  }

  async end(hook: "drain" | "dispose"): Promise<void> {
    await this.#ask({ type: "hook", call: this.#next(), hook }, END_MS, hook);
  }

  /**
   * Calls a method of an implementation.
   * @throws {MezError} `PLUGIN_UNAVAILABLE` when the process ends before it answers; `TIMEOUT`; what the plugin throws
   */
  async call(port: string, name: string, method: string, rule: IsolatedMethod, args: readonly unknown[]): Promise<unknown> {
    const signal = rule.hasSignal === true ? (args.at(-1) as AbortSignal | undefined) : undefined;
    const plain = signal === undefined ? args : args.slice(0, -1);
    const call = this.#next();
    const stream = rule.isStream === true ? this.#expectStream(call, rule.timeoutMs) : null;
    const abort = (): void => void this.#send({ type: "abort", call });
    signal?.addEventListener("abort", abort, { once: true });
    try {
      const answer = await this.#ask({ type: "call", call, port, name, method, args: plain }, rule.timeoutMs, `${method}()`);
      if (!rule.accepts(answer)) throw this.#unavailable(`it answered ${method}() with something else than it should`);
      return stream === null ? (answer ?? undefined) : stream;
    } catch (error) {
      this.#streams.delete(call);
      stream?.destroy();
      throw error;
    } finally {
      signal?.removeEventListener("abort", abort);
    }
  }

  /** Ends it at once. @param why For the log and for calls under way. */
  kill(why: string): void {
    this.#why ??= why;
    if (this.#isAlive && this.pid !== null) this.#family.kill(this.pid);
  }

  /** Resolves when the process is gone. */
  ended(): Promise<void> {
    return this.#ended;
  }

  #next(): number {
    this.#lastCall += 1;
    return this.#lastCall;
  }

  async #ask(request: Request, timeoutMs: number, what: string): Promise<unknown> {
    if (!this.#isAlive || this.#why !== null) throw this.#gone(this.#why ?? "it has ended");
    const answer = new Promise<unknown>((resolve, reject) => {
      const timer = setTimeout(() => this.#onLate(request.call, timeoutMs, what), timeoutMs);
      timer.unref();
      this.#calls.set(request.call, { resolve, reject, timer });
    });
    answer.catch(() => {});
    try {
      await this.#link.send(request);
    } catch (error) {
      this.#settle(request.call)?.reject(error);
    }
    return answer;
  }

  #send(request: Request): Promise<void> {
    return this.#link.send(request).catch(() => {});
  }

  #settle(call: number): PendingCall | undefined {
    const pending = this.#calls.get(call);
    clearTimeout(pending?.timer);
    this.#calls.delete(call);
    return pending;
  }

  /** A call that takes too long is one thing; a process that answers nothing at all is ended. */
  #onLate(call: number, timeoutMs: number, what: string): void {
    const { id } = this.options.introduction;
    this.#settle(call)?.reject(new MezError("TIMEOUT", `plugin "${id}" did not answer ${what} within ${timeoutMs / 1000} s`));
    void this.#send({ type: "abort", call });
    if (!this.#isAsked) void this.#askWhetherItLives();
  }

  async #askWhetherItLives(): Promise<void> {
    this.#isAsked = true;
    const waitedMs = (): number => (this.pid === null ? 0 : processorWaitMs(this.pid));
    const still = new StandStill(performance.now(), waitedMs());
    const answered = this.#ask({ type: "ping", call: this.#next() }, PING_MS, "ping").then(
      () => true,
      () => true,
    );
    while (!(await Promise.race([answered, delay(LOOK_MS, false, { ref: false })])))
      if (still.isTooLong(performance.now(), waitedMs())) this.kill(`it answered nothing for ${STAND_STILL_MS / 1000} s`);
    this.#isAsked = false;
  }

  #expectStream(call: number, timeoutMs: number): Readable {
    const stream = new IncomingStream({
      more: (bytes) => void this.#send({ type: "more", call, bytes }),
      stop: () => {
        if (this.#streams.delete(call)) void this.#send({ type: "abort", call });
      },
      silent: () => new MezError("TIMEOUT", `plugin "${this.options.introduction.id}" sent nothing for ${timeoutMs / 1000} s`),
      timeoutMs,
    });
    this.#streams.set(call, stream);
    return stream;
  }

  #take(reply: Reply): void {
    const { id } = this.options.introduction;
    switch (reply.type) {
      case "answer":
        return void this.#settle(reply.call)?.resolve(reply.value);
      case "failure": {
        const error = fromWireError(id, reply.error);
        const pending = this.#settle(reply.call);
        if (pending !== undefined) return pending.reject(error);
        const stream = this.#streams.get(reply.call);
        this.#streams.delete(reply.call);
        return stream?.fail(error);
      }
      case "chunk":
        if (!Buffer.isBuffer(reply.bytes)) throw new Error("a chunk without bytes");
        return this.#streams.get(reply.call)?.receive(reply.bytes);
      case "end": {
        const stream = this.#streams.get(reply.call);
        this.#streams.delete(reply.call);
        return stream?.finish();
      }
      case "log":
        return this.#log(reply);
      default:
        throw new Error("an unknown message");
    }
  }

  #log({ level, message, fields }: Extract<Reply, { type: "log" }>): void {
    this.#logLines += 1;
    if (this.#logLines > LOG_LINES_PER_WATCH || !LEVELS.has(level)) return;
    this.options.logger[level](...logLine(message, fields));
  }

  #onErrorOutput(text: string): void {
    this.#errorOutput = (this.#errorOutput + text).slice(-MAX_LOG);
  }

  #watchMemory(): void {
    this.#logLines = 0;
    const bytes = this.memoryBytes;
    if (bytes !== null && bytes > this.options.memoryMib * 1024 * 1024)
      this.kill(`it used more than ${this.options.memoryMib} MiB of memory`);
  }

  #onEnded(): void {
    if (!this.#isAlive) return;
    this.#isAlive = false;
    clearInterval(this.#memoryWatch);
    const { exitCode, signalCode } = this.#child;
    const why =
      this.#why === null || this.#why === "it closed its connection"
        ? endOf(exitCode, signalCode, this.#errorOutput, this.options.memoryMib)
        : this.#why;
    this.#why = why;
    this.#link.close();
    for (const call of [...this.#calls.keys()]) this.#settle(call)?.reject(this.#gone(why));
    for (const stream of this.#streams.values()) stream.fail(this.#gone(why));
    this.#streams.clear();
    this.options.onEnded(why);
  }

  /** @param why May be what the plugin wrote to standard error, which is not for whoever calls. */
  #gone(why: string): MezError {
    const { id } = this.options.introduction;
    return new MezError("PLUGIN_UNAVAILABLE", `plugin "${id}" is not available: its process has ended`, { detail: why });
  }

  #unavailable(why: string): MezError {
    return new MezError("PLUGIN_UNAVAILABLE", `plugin "${this.options.introduction.id}" is not available: ${why}`);
  }
}

// --- internal ---

interface PendingCall {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
  readonly timer: NodeJS.Timeout;
}

const START_MS = 25_000; // less than the host gives to a start
const END_MS = 8_000;
/** Longer than anything that answers nothing lasts. */
const PING_MS = 120_000;
const MEMORY_WATCH_MS = 200;
const LOG_LINES_PER_WATCH = 50;
const MAX_LOG = 4096;
const LEVELS: ReadonlySet<string> = new Set(["debug", "info", "warn", "error"]);

/** Whoever has a plugin registered and started may know all that it says of a failure. */
function withReason(error: unknown, code: ErrorCode, what: string): unknown {
  if (isMezError(error, "PLUGIN_UNAVAILABLE") && error.detail !== undefined)
    return new MezError(error.code, `${what}${error.detail}`);
  if (!isMezError(error, "INTERNAL") || error.detail === undefined) return error;
  return new MezError(code, `${what}${error.detail}`);
}

function endOf(exitCode: number | null, signal: NodeJS.Signals | null, output: string, memoryMib: number): string {
  if (/heap out of memory/.test(output)) return `it used more than its share of ${memoryMib} MiB of memory`;
  const said = plainText(output.trim().split("\n")[0] ?? "", 300);
  const how = signal === null ? `it ended with exit code ${exitCode ?? "?"}` : `it was ended by ${signal}`;
  return said === "" ? how : `${how}: ${said}`;
}
