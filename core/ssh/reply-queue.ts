/**
 * Keeps answers in the order of the requests when some come from the peer and others are given here: requests carry no
 * number, so their order is all that tells which answer is whose.
 * @see RFC 4254, 4 and 5.4
 */
export class ReplyQueue {
  readonly #waiting: (ExpectedReply | Buffer)[] = [];

  /** @param deliver Sends an answer to whoever asked. */
  constructor(private readonly deliver: (payload: Buffer) => void) {}

  get length(): number {
    return this.#waiting.length;
  }

  /** A request was passed on. @param onReply Told of the answer. @param isOurs The request was ours: nobody else hears of the answer. */
  expect(onReply: ((payload: Buffer) => void) | null = null, isOurs = false): void {
    this.#waiting.push({ onReply, isOurs });
  }

  /** A request is answered here, after those that came before it. */
  answer(payload: Buffer): void {
    if (this.#waiting.length === 0) this.deliver(payload);
    else this.#waiting.push(payload);
  }

  /** The peer answered. @returns `false` when nothing was asked. */
  receive(payload: Buffer): boolean {
    const expected = this.#waiting.shift(); // what is answered here never comes first
    if (expected === undefined || Buffer.isBuffer(expected)) return false;
    expected.onReply?.(payload);
    if (!expected.isOurs) this.deliver(payload);
    for (let next = this.#waiting[0]; Buffer.isBuffer(next); next = this.#waiting[0]) {
      this.#waiting.shift();
      this.deliver(next);
    }
    return true;
  }
}

// --- internal ---

interface ExpectedReply {
  readonly onReply: ((payload: Buffer) => void) | null;
  readonly isOurs: boolean;
}
