import { MezError } from "../../core/errors/error.js";
import { parseDuration } from "../../core/time/duration.js";

/**
 * Reads a moment as `--since` takes it: a duration before now (`24h`), a date (`2026-03-01`, midnight UTC), or a date and
 * time with zone (`2026-03-01T08:00:00Z`).
 * @throws {MezError} `INVALID_ARGUMENT`
 */
export function parseMoment(text: string, now: Date): Date {
  if (/^\d+[smhd]/.test(text)) return new Date(now.getTime() - parseDuration(text) * 1000);
  const moment = DATE.test(text) ? new Date(text) : new Date(Number.NaN);
  if (!Number.isNaN(moment.getTime())) return moment;
  throw new MezError(
    "INVALID_ARGUMENT",
    `time "${text.slice(0, 40)}" is not valid; write it like 24h, 2026-03-01 or 2026-03-01T08:00:00Z`,
  );
}

// --- internal ---

const DATE = /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d{1,3})?)?(Z|[+-]\d{2}:\d{2}))?$/;
