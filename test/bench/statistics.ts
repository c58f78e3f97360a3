import { performance } from "node:perf_hooks";

export function median(values: readonly number[]): number {
  return percentile(values, 0.5);
}

/** @param share From 0 to 1, e.g. 0.99. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((left, right) => left - right);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

/** Milliseconds that `work` takes. */
export async function timed(work: () => unknown): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

/** What each side measured, round by round. */
export interface Sides {
  readonly ours: readonly number[];
  readonly theirs: readonly number[];
}

/** Measures both sides `rounds` times in turns, changing who goes first, so that what the machine does hits both alike. */
export async function alternate(rounds: number, ours: () => Promise<number>, theirs: () => Promise<number>): Promise<Sides> {
  const sides = { ours: [] as number[], theirs: [] as number[] };
  for (let round = 0; round < rounds; round += 1) {
    const first = round % 2 === 0;
    if (first) sides.ours.push(await ours());
    sides.theirs.push(await theirs());
    if (!first) sides.ours.push(await ours());
  }
  return sides;
}
