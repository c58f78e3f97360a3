import type { ServiceToken } from "./contract.js";

export type LogFields = Readonly<Record<string, unknown>>;

/** Writes one line a call to the daemon's log. Never give it a secret that is not a `Secret`. */
export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}

/** The log of the plugin that resolves it: every line carries the plugin's id. */
export const LOGGER: ServiceToken<Logger> = { id: "core.logger", version: 1 };
