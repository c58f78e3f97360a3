import { networkOf } from "../plugin/client-network.js";

/** Why somebody's turn does not come. */
export type TurnedAway = "no room to wait in" | "waited too long";

/** Somebody who waits for their turn. */
export interface Comer {
  /** Whose turn has come. @param over To be called when what began has ended, one way or the other. */
  begin(over: () => void): void;
  /** It does not begin any more: others need the room, or its turn was too long in coming. */
  refuse(why: TurnedAway): void;
  /**
   * Whether anything has been heard since its turn came. Whoever says nothing at first leaves the place soon: thousands of networks
   * with a silent connection each would take it in turns for minutes.
   */
  hasSpoken(): boolean;
}

export interface TurnstileLimits {
  /** How many begin in one turn of the event loop; default 4. */
  readonly perTurn?: number;
  /** How many of all are to be under way at once. Who takes longer than `PLACE_MS`, or says nothing at first, leaves the place to others; default 64. */
  readonly atOnce?: number;
  /** How many of one network are under way at once. */
  readonly perNetwork: number;
  /** How many may wait, asked when somebody comes. */
  readonly room: () => number;
  /** How long anybody waits; default 120 s. Ten thousand silent networks take a quarter of a minute. */
  readonly waitMs?: number;
}

/**
 * Lets connections begin their handshakes: a few in each turn of the event loop and few at once, so that what is under way goes on in
 * between and ends before its time is up, also when ten thousand come at once. Whoever comes when nobody waits begins at once.
 *
 * There is a line for each network, see `networkOf`, and the lines take turns. When too many wait, the last of the longest line goes;
 * and so does whoever has waited for longer than clients do.
 */
export class Turnstile {
  readonly #lines = new Map<string, Line>();
  /** The lines whose first may begin, in the order of their turns. */
  readonly #ready = new Set<Line>();
  #waiting = 0;
  /** In this turn of the event loop. */
  #begun = 0;
  #places = 0;
  #isTurning = false;

  constructor(private readonly limits: TurnstileLimits) {}

  /** @returns The way to leave before one's turn. */
  enter(address: string, comer: Comer): () => void {
    const network = networkOf(address);
    const line = this.#lines.get(network) ?? { network, waiting: new Map(), underWay: 0 };
    this.#lines.set(network, line);
    const timer = setTimeout(() => this.#turnAway(line, comer, "waited too long"), this.limits.waitMs ?? WAIT_MS);
    line.waiting.set(comer, timer.unref());
    this.#waiting += 1;
    this.#sort(line);
    this.#turn();
    if (this.#waiting > this.limits.room()) this.#refuseOne(line, comer);
    return () => this.#leave(line, comer);
  }

  /** How many wait. */
  get waiting(): number {
    return this.#waiting;
  }

  #turn(): void {
    const { perTurn = PER_TURN, atOnce = AT_ONCE } = this.limits;
    for (const line of this.#ready) {
      if (this.#begun >= perTurn || this.#places >= atOnce) break;
      const [comer] = line.waiting.keys();
      if (comer === undefined) break;
      this.#begun += 1;
      line.underWay += 1;
      this.#ready.delete(line); // to the end, if it may go on
      this.#leave(line, comer);
      const giveBack = this.#takePlace(comer);
      let isOver = false;
      comer.begin(() => {
        if (isOver) return;
        isOver = true;
        giveBack();
        this.#over(line);
      });
    }
    if (this.#begun === 0 || this.#isTurning) return;
    this.#isTurning = true;
    setImmediate(() => {
      this.#isTurning = false;
      this.#begun = 0;
      this.#turn();
    });
  }

  #takePlace(comer: Comer): () => void {
    this.#places += 1;
    let isBack = false;
    const giveBack = (): void => {
      if (isBack) return;
      isBack = true;
      clearTimeout(timer);
      this.#places -= 1;
    };
    const leave = (): void => {
      giveBack();
      this.#turn();
    };
    let timer = setTimeout(() => {
      if (!comer.hasSpoken()) return leave();
      timer = setTimeout(leave, PLACE_MS - SILENT_PLACE_MS).unref();
    }, SILENT_PLACE_MS).unref();
    return giveBack;
  }

  #over(line: Line): void {
    line.underWay -= 1;
    this.#sort(line);
    this.#turn();
  }

  #leave(line: Line, comer: Comer): void {
    const timer = line.waiting.get(comer);
    if (!line.waiting.delete(comer)) return;
    clearTimeout(timer);
    this.#waiting -= 1;
    this.#sort(line);
  }

  #sort(line: Line): void {
    const mayBegin = line.waiting.size > 0 && line.underWay < this.limits.perNetwork;
    if (mayBegin) this.#ready.add(line);
    else this.#ready.delete(line);
    if (line.waiting.size === 0 && line.underWay === 0) this.#lines.delete(line.network);
    else this.#lines.set(line.network, line);
  }

  #refuseOne(own: Line, newcomer: Comer): void {
    let longest = own;
    for (const line of this.#lines.values()) if (line.waiting.size > longest.waiting.size) longest = line;
    const last = longest === own ? newcomer : [...longest.waiting.keys()].at(-1);
    if (last === undefined || !longest.waiting.has(last)) return;
    this.#turnAway(longest, last, "no room to wait in");
  }

  #turnAway(line: Line, comer: Comer, why: TurnedAway): void {
    this.#leave(line, comer);
    comer.refuse(why);
  }
}

// --- internal ---

const PER_TURN = 4;
const AT_ONCE = 64;
/** After which it is the other side that is slow. */
const PLACE_MS = 1_000;
/** A client's first message was there before its turn came, and is read in the next turns of the event loop. */
const SILENT_PLACE_MS = 100;
const WAIT_MS = 120_000;

interface Line {
  readonly network: string;
  /** In order of arrival, with what ends their waiting. */
  readonly waiting: Map<Comer, NodeJS.Timeout>;
  underWay: number;
}
