import { MezError, messageOf } from "../../../core/errors/error.js";
import type { Logger } from "../../../core/plugin/logger.js";
import type { Secret } from "../../../core/plugin/secret.js";
import { checkModuleFile } from "./module-file.js";
import { type ModuleUse, useModule } from "./module-use.js";
import { SessionThread } from "./session-thread.js";
import { settledWithin } from "./settled-within.js";
import type { TokenFailure, TokenRequest } from "./token-message.js";

/** A token and how it is used. */
export interface TokenSettings {
  /** Absolute path. */
  readonly module: string;
  readonly label: string;
  readonly pin: Secret;
  /** How many sessions, each in a thread of its own. */
  readonly sessions: number;
  /** How long a request may take, its wait for a session included. */
  readonly timeoutMs: number;
}

/** What is asked of a token in whatever session is free. */
export type KeyRequest = Extract<TokenRequest, { readonly kind: "generate" | "sign" | "destroy" }>;

/**
 * The sessions of one token. Requests wait for a free one, first come, first served. A session that was lost is opened and
 * logged in again when it is needed next. A token that has refused us is not asked again, since wrong PINs lock tokens.
 */
export class SessionPool {
  readonly #threads: Set<SessionThread>;
  readonly #waiting: ((thread: SessionThread) => void)[] = [];
  readonly #underWay = new Set<Promise<unknown>>();
  #use: ModuleUse | null = null;
  #refusal: MezError | null = null;
  #isClosed = false;

  constructor(
    private readonly settings: TokenSettings,
    private readonly logger: Logger,
  ) {
    this.#threads = new Set(Array.from({ length: settings.sessions }, () => new SessionThread()));
  }

  get label(): string {
    return this.settings.label;
  }

  /**
   * Opens the first session now and the others behind. A token that is out of reach is no error: it may come back.
   * @throws {MezError} `KEY_BACKEND_REFUSED`
   */
  async start(): Promise<void> {
    this.#use = useModule(await checkModuleFile(this.settings.module));
    const [first, ...others] = [...this.#threads];
    for (const thread of this.#threads) thread.jobs = 1; // until it was opened
    const opened = this.#track(this.#warm(first === undefined ? [] : [first]));
    this.#track(opened.then(() => this.#warm(others)));
    await settledWithin(opened, this.settings.timeoutMs);
    if (this.#refusal !== null) throw this.#refusal;
  }

  /**
   * Asks a session that is free, in a new one if it was lost.
   * @throws {MezError} `KEY_BACKEND_UNAVAILABLE`, `KEY_BACKEND_REFUSED`; `NOT_FOUND` for a key that the token does not have
   */
  async run(request: KeyRequest): Promise<Uint8Array | null> {
    if (this.#refusal !== null) throw this.#refusal;
    if (this.#isClosed) throw this.#unavailable("it was closed");
    const job = { request, isWanted: true };
    const carriedOut = this.#track(this.#carryOut(job));
    if (await settledWithin(carriedOut, this.settings.timeoutMs)) return carriedOut;
    job.isWanted = false;
    // A key that is made after nobody waits for it any more belongs to nobody.
    const undo = (): Promise<unknown> => this.run({ kind: "destroy", id: request.id });
    if (request.kind === "generate") carriedOut.then(undo).catch(() => undefined);
    throw this.#unavailable(`no answer within ${this.settings.timeoutMs / 1000} s`);
  }

  /** Closes the sessions once they are free, and ends the threads; those in which the module hangs are left behind. */
  async close(graceMs: number): Promise<void> {
    if (this.#use === null || this.#isClosed) return;
    this.#isClosed = true;
    await settledWithin(Promise.allSettled([...this.#underWay]), graceMs);
    const free = [...this.#threads].filter(({ jobs }) => jobs === 0);
    const closed = Promise.all(free.map((thread) => (thread.isOpen ? thread.ask({ kind: "close" }) : null)));
    const isQuiet = (await settledWithin(closed, graceMs)) && free.length === this.#threads.size;
    const [last] = free;
    const { path: module } = this.#use;
    await this.#use.release(async () => {
      if (isQuiet && last !== undefined) await settledWithin(last.ask({ kind: "finalize", module }), graceMs);
    }, graceMs);
    const ended = Promise.all([...this.#threads].map((thread) => thread.end()));
    if (await settledWithin(ended, graceMs)) return;
    this.logger.error("a call into the module of a token does not return; the process may have to be killed", {
      token: this.settings.label,
    });
  }

  async #carryOut(job: Job): Promise<Uint8Array | null> {
    for (;;) {
      const thread = await this.#take();
      try {
        if (!job.isWanted) return null;
        if (!thread.isOpen && !(await this.#open(thread))) continue;
        const answer = await this.#ask(thread, job.request);
        if (answer !== null) return answer.value;
      } finally {
        this.#give(thread);
      }
    }
  }

  /** @returns `null` when the session was lost and there is no other for this thread. */
  async #ask(thread: SessionThread, request: KeyRequest): Promise<{ readonly value: Uint8Array | null } | null> {
    let answer = await thread.ask(request);
    if (answer.failure !== undefined && isWorthAnother(request, answer.failure)) {
      const { message: reason } = answer.failure;
      this.logger.warn("a session of a token was lost; opening another", { token: this.settings.label, reason });
      if (!(await this.#open(thread))) return null;
      // The session may have been lost after the key was made: with another one under its id, neither could be used.
      if (request.kind === "generate") await thread.ask({ kind: "destroy", id: request.id });
      answer = await thread.ask(request);
    }
    if (answer.failure !== undefined) throw this.#errorOf(answer.failure);
    if (request.kind === "destroy") for (const other of this.#threads) if (other !== thread) other.forget(request.id);
    return answer;
  }

  /** @returns False when the token has no more sessions than are open: then this thread is done without. */
  async #open(thread: SessionThread): Promise<boolean> {
    const { label, pin, timeoutMs } = this.settings;
    if (this.#use === null) throw this.#unavailable("it was not started");
    const { path: module } = this.#use;
    return this.#use.inTurn(async () => {
      if (this.#refusal !== null) throw this.#refusal;
      if (!this.#threads.has(thread)) return false;
      if (thread.isOpen) return true; // somebody else who has it was faster
      const { failure } = await thread.ask({ kind: "open", module, label, pin: pin.expose() });
      thread.isOpen = failure === undefined;
      if (failure === undefined) return true;
      if (failure.kind === "full" && [...this.#threads].some(({ isOpen }) => isOpen)) {
        this.#threads.delete(thread);
        void thread.end();
        this.logger.warn("a token gives fewer sessions than are configured", { token: label, sessions: this.#threads.size });
        return false;
      }
      throw this.#errorOf(failure);
    }, timeoutMs);
  }

  async #warm(threads: readonly SessionThread[]): Promise<void> {
    let isReachable = true;
    for (const thread of threads) {
      try {
        if (isReachable && this.#refusal === null && !this.#isClosed) await this.#open(thread);
      } catch (error) {
        isReachable = false;
        if (this.#refusal === null)
          this.logger.error("a token is out of reach; its keys cannot be used until it is back", { error: messageOf(error) });
      } finally {
        this.#give(thread);
      }
    }
  }

  #take(): Promise<SessionThread> {
    const thread = this.#next();
    if (thread === undefined) return new Promise((resolve) => this.#waiting.push(resolve));
    thread.jobs += 1;
    return Promise.resolve(thread);
  }

  #give(thread: SessionThread): void {
    thread.jobs -= 1;
    for (let next = this.#next(); next !== undefined && this.#waiting.length > 0; next = this.#next()) {
      next.jobs += 1;
      this.#waiting.shift()?.(next);
    }
  }

  /** A thread for one more: a free one, else one whose job is under way, so that it need not wait for us in between. */
  #next(): SessionThread | undefined {
    const threads = [...this.#threads];
    const free = threads.filter(({ jobs }) => jobs === 0);
    return free.find(({ isOpen }) => isOpen) ?? free[0] ?? threads.find(({ jobs, isOpen }) => jobs === 1 && isOpen);
  }

  #errorOf({ kind, message }: TokenFailure): MezError {
    if (kind === "unknown-key") return new MezError("NOT_FOUND", `token "${this.settings.label}" has no such key`);
    if (kind === "unsupported") return new MezError("KEY_BACKEND_REFUSED", message);
    if (kind !== "refused") return this.#unavailable(message);
    this.#refusal = new MezError("KEY_BACKEND_REFUSED", `${message}; it is not asked again before a restart`);
    return this.#refusal;
  }

  #unavailable(reason: string): MezError {
    return new MezError("KEY_BACKEND_UNAVAILABLE", `token "${this.settings.label}" is out of reach: ${reason}; try again`);
  }

  #track<T>(work: Promise<T>): Promise<T> {
    this.#underWay.add(work);
    const done = (): void => void this.#underWay.delete(work);
    work.then(done, done);
    return work;
  }
}

// --- internal ---

interface Job {
  readonly request: KeyRequest;
  /** False once nobody waits for it any more. */
  isWanted: boolean;
}

/** A signature may be made twice, a key may not. */
function isWorthAnother({ kind }: KeyRequest, failure: TokenFailure): boolean {
  return failure.kind === "lost" || (failure.kind === "failed" && kind !== "generate");
}
