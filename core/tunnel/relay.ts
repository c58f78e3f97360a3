import type { Duplex } from "node:stream";

/** What is smaller leaves at once: somebody types. */
const BULK_BYTES = 1024;
/** Enough for one write to be cheap; more than this only delays the first byte. */
const MAX_HELD_BYTES = 128 * 1024;

/**
 * Copies bytes both ways between two connections until both directions have ended, keeping half-close, back-pressure
 * and failure: when one side breaks, the other is destroyed. What arrives in one turn of the event loop leaves in one
 * write, which costs less CPU than `pipe()`; what is small and first leaves at once. Either may have been paused before.
 * @returns Resolves when both sides are closed, with the first error or `null`.
 */
export function relay(left: Duplex, right: Duplex): Promise<Error | null> {
  let failure: Error | null = null;
  const closed = [left, right].map(
    (side) =>
      new Promise<void>((resolve) => {
        const other = side === left ? right : left;
        side.on("error", (error: Error) => {
          failure ??= error;
        });
        side.once("close", () => {
          if (!side.readableEnded || !side.writableFinished) other.destroy();
          resolve();
        });
      }),
  );
  copy(left, right);
  copy(right, left);
  return Promise.all(closed).then(() => failure);
}

// --- internal ---

function copy(source: Duplex, target: Duplex): void {
  let isCorked = false;
  let heldBytes = 0;
  const flush = () => {
    if (!isCorked) return;
    isCorked = false;
    heldBytes = 0;
    target.uncork();
    if (target.writableNeedDrain && !target.destroyed) source.pause();
  };
  target.on("drain", () => source.resume());
  source.on("data", (chunk: Buffer) => {
    if (!isCorked && chunk.length >= BULK_BYTES) {
      isCorked = true;
      target.cork();
      setImmediate(flush);
    }
    const takesMore = target.write(chunk);
    if (!isCorked) {
      if (!takesMore) source.pause();
      return;
    }
    heldBytes += chunk.length;
    if (heldBytes >= MAX_HELD_BYTES) flush();
  });
  source.once("end", () => {
    flush();
    target.end();
  });
  source.resume();
}
