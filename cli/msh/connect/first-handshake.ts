import { isMezError, MezError, messageOf } from "../../../core/errors/error.js";
import type { Handshake } from "./handshake.js";

/**
 * The first of several proxies to shake hands. Each is asked when the one before it has failed, or was silent for half a second.
 * @param last The one that answered last time, or `null`: it is asked at once, together with the first.
 * @throws {MezError} `UNAVAILABLE` when none does; whatever else the first to fail otherwise throws
 */
export function firstHandshake(
  addresses: readonly string[],
  last: string | null,
  shakeHands: (address: string, signal: AbortSignal) => Promise<Handshake>,
): Promise<Handshake> {
  const over = new AbortController();
  const failures: unknown[] = [];
  const waiting = [...addresses];
  return new Promise<Handshake>((resolve, reject) => {
    const begin = (address: string): void => {
      waiting.splice(waiting.indexOf(address), 1);
      const silence = setTimeout(next, HEAD_START_MS);
      const settle = (done: () => void): void => {
        clearTimeout(silence);
        done();
      };
      shakeHands(address, over.signal).then(
        (handshake) =>
          settle(() => {
            if (over.signal.aborted) return void handshake.tcp.destroy();
            over.abort();
            resolve(handshake);
          }),
        (error: unknown) =>
          settle(() => {
            failures.push(error);
            if (!isMezError(error, "UNAVAILABLE")) reject(error);
            else if (waiting.length > 0) next();
            else if (failures.length === addresses.length) reject(allOf(failures));
          }),
      );
    };
    const next = (): void => {
      if (waiting[0] !== undefined && !over.signal.aborted) begin(waiting[0]);
    };
    next();
    if (last !== null && waiting.includes(last)) begin(last);
  }).finally(() => over.abort());
}

// --- internal ---

const HEAD_START_MS = 500;

function allOf(failures: readonly unknown[]): unknown {
  if (failures.length === 1) return failures[0];
  return new MezError("UNAVAILABLE", failures.map(messageOf).join("; "));
}
