import type { Readable } from "node:stream";

type Take = (bytes: Buffer) => void;

/**
 * Takes what a stream reads from now on, in place of `data` events: lent when the stream can do that (see
 * `lent-memory.ts`), otherwise in chunks of its own. `pause()`, `resume()` and `end` are as ever.
 */
export function takeBytes(source: Readable, take: Take): void {
  if (!takers.has(source)) {
    source.on("data", take);
    return;
  }
  for (let chunk: Buffer | null = source.read(); chunk !== null; chunk = source.read()) take(chunk);
  takers.set(source, take);
  source.resume();
}

/** Lends to those who listen for `data`, who must know it. Nothing changes for a stream that cannot lend. */
export function lendToListeners(source: Readable): void {
  if (takers.has(source)) takers.set(source, (bytes) => source.emit("data", bytes));
}

/** Says that a stream can lend; it then offers every chunk before it pushes it. */
export function markLending(source: Readable): void {
  if (!takers.has(source)) takers.set(source, null);
}

/** Gives bytes to whoever takes them. False when nobody does: then they are pushed, as bytes of their own. */
export function offerBytes(source: Readable, bytes: Buffer): boolean {
  const take = takers.get(source);
  if (take === undefined || take === null) return false;
  take(bytes);
  return true;
}

// --- internal ---

const takers = new WeakMap<Readable, Take | null>();
