/** After which a stream that spoke is given up: two signs of life did not come. */
export const SILENCE_LIMIT_MS = 10_500;

/**
 * How long to wait for the first word on a stream. A server that came back has all agents at its door: whoever asks anew all the time
 * only makes the others wait longer. The second one that is asked is not given longer, for the first may hang.
 * @param mute Streams before it, one after the other, on which nothing came.
 */
export function patienceMs(mute: number): number {
  return Math.min(SILENCE_LIMIT_MS * 2 ** Math.max(0, mute - 1), MAX_PATIENCE_MS);
}

// --- internal ---

const MAX_PATIENCE_MS = 42_000;
