import { MezError } from "../errors/error.js";

const UNIT_SECONDS = { s: 1, m: 60, h: 3600, d: 86_400 } as const;
const DURATION = /^(?:\d+[smhd])+$/;

/**
 * Reads a duration as the command line and the config file write it: `90s`, `30m`, `12h`, `7d`, `1h30m`.
 * @returns Whole seconds, at least 1.
 * @throws {MezError} `INVALID_DURATION`
 */
export function parseDuration(text: string): number {
  const seconds = secondsOf(text);
  if (seconds !== null) return seconds;
  throw new MezError("INVALID_DURATION", `duration "${text.slice(0, 40)}" is not valid; write it like 90s, 30m, 12h or 1h30m`);
}

/** Tells whether `parseDuration` reads a text. */
export function isDuration(text: string): boolean {
  return secondsOf(text) !== null;
}

/** Writes seconds the way `parseDuration` reads them, largest unit first: 5400 is `1h30m`. */
export function formatDuration(seconds: number): string {
  let rest = Math.max(0, Math.round(seconds));
  let text = "";
  for (const unit of ["d", "h", "m", "s"] as const) {
    const amount = Math.floor(rest / UNIT_SECONDS[unit]);
    if (amount > 0) text += `${amount}${unit}`;
    rest -= amount * UNIT_SECONDS[unit];
  }
  return text === "" ? "0s" : text;
}

// --- internal ---

function secondsOf(text: string): number | null {
  if (!DURATION.test(text)) return null;
  let seconds = 0;
  for (const [, amount, unit] of text.matchAll(/(\d+)([smhd])/g)) {
    seconds += Number(amount) * UNIT_SECONDS[unit as keyof typeof UNIT_SECONDS];
  }
  return seconds >= 1 && Number.isSafeInteger(seconds * 1000) ? seconds : null;
}
