import type { CastEvent } from "./asciicast.js";
import type { PlayerAction } from "./player-keys.js";

export interface PlayerOptions {
  readonly show: (text: string) => Promise<void>;
  /** Times as fast. */
  readonly speed: number;
  /** Longer pauses are cut to this, in seconds. */
  readonly maxIdleSeconds: number;
  /** Where to begin, in seconds of what is played. */
  readonly fromSeconds: number;
  readonly signal: AbortSignal;
}

/**
 * Plays a recording in its own time and follows what the person presses. It keeps what it has read, because a terminal can
 * go back only by showing everything again from the beginning.
 */
export class Player {
  readonly #frames: Frame[] = [];
  readonly #source: AsyncIterator<CastEvent>;
  #next = 0;
  /** The place in the recording at the moment `#since`; it moves on from there unless paused. */
  #place = 0;
  #since = performance.now();
  #speed: number;
  #isPaused = false;
  #hasQuit = false;
  /** Where the person wants to be. */
  #wanted: number | null = null;
  #moved = new AbortController();

  constructor(
    source: AsyncIterable<CastEvent>,
    private readonly options: PlayerOptions,
  ) {
    this.#source = source[Symbol.asyncIterator]();
    this.#speed = options.speed;
  }

  /** Plays to the end, or until `quit` is pressed. Rejects with the reason of `signal`. */
  async run(): Promise<void> {
    const { fromSeconds, show, signal } = this.options;
    if (fromSeconds > 0) await this.#go(fromSeconds);
    for (;;) {
      signal.throwIfAborted();
      const frame = await this.#frame(this.#next);
      if (frame === null || this.#hasQuit) return;
      if (!(await this.#waitFor(frame))) continue;
      this.#next += 1;
      await show(frame.text);
    }
  }

  press(action: PlayerAction): void {
    this.#stay();
    if (action.kind === "pause") this.#isPaused = !this.#isPaused;
    else if (action.kind === "speed") this.#speed = Math.min(Math.max(this.#speed * action.factor, MIN_SPEED), MAX_SPEED);
    else if (action.kind === "seek") this.#wanted = Math.max(0, this.#place + action.seconds);
    else if (action.kind === "step") this.#wanted = this.#frames[this.#next]?.at ?? this.#place;
    else this.#hasQuit = true;
    this.#moved.abort();
  }

  /** `false` when something was pressed meanwhile. */
  async #waitFor(frame: Frame): Promise<boolean> {
    if (this.#wanted !== null) {
      const wanted = this.#wanted;
      this.#wanted = null;
      await this.#go(wanted);
      return false;
    }
    this.#moved = new AbortController();
    const waitMs = this.#isPaused ? FOR_EVER_MS : ((frame.at - this.#now()) / this.#speed) * 1000;
    return waitMs <= 0 || !(await sleep(waitMs, [this.#moved.signal, this.options.signal]));
  }

  /** Shows at once what leads to a place. */
  async #go(place: number): Promise<void> {
    const isBack = place < (this.#frames[this.#next - 1]?.at ?? 0);
    if (isBack) this.#next = 0;
    let text = isBack ? EMPTY_SCREEN : "";
    let frame = await this.#frame(this.#next);
    for (; frame !== null && frame.at <= place; frame = await this.#frame(this.#next)) {
      text += frame.text;
      this.#next += 1;
    }
    await this.options.show(text);
    this.#place = frame === null ? Math.min(place, this.#frames.at(-1)?.at ?? 0) : place;
    this.#since = performance.now();
  }

  /** The frame with this number; `null` behind the last. */
  async #frame(number: number): Promise<Frame | null> {
    while (this.#frames.length <= number) {
      const { value, done } = await this.#source.next();
      if (done === true) return null;
      const event = value as CastEvent;
      const last = this.#frames.at(-1);
      const pause = Math.max(0, event.seconds - (last?.recordedAt ?? 0));
      this.#frames.push({
        at: (last?.at ?? 0) + Math.min(pause, this.options.maxIdleSeconds),
        recordedAt: event.seconds,
        text: event.kind === "o" ? event.text : "",
      });
    }
    return this.#frames[number] as Frame;
  }

  #now(): number {
    return this.#place + (this.#isPaused ? 0 : ((performance.now() - this.#since) / 1000) * this.#speed);
  }

  #stay(): void {
    this.#place = this.#now();
    this.#since = performance.now();
  }
}

// --- internal ---

interface Frame {
  /** Seconds since the beginning, with long pauses cut. */
  readonly at: number;
  readonly recordedAt: number;
  readonly text: string;
}

const MIN_SPEED = 0.1;
const MAX_SPEED = 1000;
const FOR_EVER_MS = 2 ** 31 - 1;
/** Resets the terminal: colours, modes and both screens. */
const EMPTY_SCREEN = "\x1bc\x1b[3J";

/** Whether one of the signals was aborted first. */
function sleep(milliseconds: number, signals: readonly AbortSignal[]): Promise<boolean> {
  const any = AbortSignal.any([...signals]);
  return new Promise((resolve) => {
    const timer = setTimeout(() => done(false), Math.min(milliseconds, FOR_EVER_MS));
    const done = (wasAborted: boolean): void => {
      clearTimeout(timer);
      any.removeEventListener("abort", stop);
      resolve(wasAborted);
    };
    const stop = (): void => done(true);
    if (any.aborted) done(true);
    else any.addEventListener("abort", stop);
  });
}
