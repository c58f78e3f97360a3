import { MezError } from "../errors/error.js";
import { parseDuration } from "../time/duration.js";

/**
 * Reads how long a proxy or a node decides from its copies while the auth service is silent.
 * @param key Where the text stands in the config file, for the message.
 * @returns Seconds, at least 10: a watch stream gives a sign of life every 5.
 * @throws {MezError} `INVALID_DURATION`, `CONFIG_INVALID`
 */
export function parseStaleAfter(key: string, text: string): number {
  const seconds = parseDuration(text);
  if (seconds < MIN_SECONDS)
    throw new MezError(
      "CONFIG_INVALID",
      `${key} is ${text}; use at least ${MIN_SECONDS}s, as a healthy auth service may be silent for 5s`,
    );
  return seconds;
}

// --- internal ---

const MIN_SECONDS = 10;
