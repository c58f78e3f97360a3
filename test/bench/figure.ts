import type { BenchBed } from "./bench-bed.js";
import { median, type Sides } from "./statistics.js";

/** One line of the table. */
export interface Figure {
  readonly what: string;
  /** With its unit, e.g. `41 ms`. */
  readonly ours: string;
  /** The peer's, measured in the same run; `null` when the goal is absolute. */
  readonly against: string | null;
  /** What is compared with the goal. */
  readonly figure: number;
  readonly unit: "ratio" | "count" | "/s" | "s" | "ms" | "µs" | "KiB" | "MiB";
  /** Infinite when there is none. */
  readonly goal: number;
  /** Whether a good figure is at most or at least the goal. */
  readonly reach: "at most" | "at least";
}

/** How much is measured. */
export interface Effort {
  /** At least 5. */
  readonly rounds: number;
  /** Bytes that throughput is measured with. */
  readonly transferBytes: number;
}

/** One kind of measurement, which fills one or more lines. */
export interface Row {
  /** What it is chosen by on the command line. */
  readonly name: string;
  readonly summary: string;
  measure(bed: BenchBed, effort: Effort): Promise<readonly Figure[]>;
}

export function isReached({ figure, goal, reach }: Figure): boolean {
  return reach === "at most" ? figure <= goal : figure >= goal;
}

/** A figure that is the ratio of medians, ours by theirs. @param show Writes a median with its unit. */
export function ratioOf(
  what: string,
  { ours, theirs }: Sides,
  show: (value: number) => string,
  goal: number,
  reach: Figure["reach"],
): Figure {
  const [mine, other] = [median(ours), median(theirs)];
  return { what, ours: show(mine), against: show(other), figure: mine / other, unit: "ratio", goal, reach };
}

/** A figure with an absolute goal. */
export function absolute(
  what: string,
  figure: number,
  unit: Figure["unit"],
  goal: number,
  reach: Figure["reach"],
  against: string | null = null,
): Figure {
  return { what, ours: withUnit(figure, unit), against, figure, unit, goal, reach };
}

/** A figure without a goal, which says how something grows. */
export function noted(what: string, figure: number, unit: Figure["unit"]): Figure {
  return absolute(what, figure, unit, Number.POSITIVE_INFINITY, "at most");
}

/** Writes a number with as many digits as it deserves. */
export function withUnit(value: number, unit: Figure["unit"]): string {
  if (unit === "count") return value.toFixed(0);
  const digits = value >= 100 || unit === "/s" ? 0 : value >= 10 ? 1 : 2;
  const number = value.toFixed(unit === "ratio" ? 2 : digits);
  return unit === "ratio" ? number : unit === "/s" ? `${number}/s` : `${number} ${unit}`;
}
