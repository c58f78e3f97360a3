import { type DestinationStream, destination, type Logger as PinoLogger, pino } from "pino";
import type { Config } from "../config/config.js";
import type { LogFields, Logger } from "../plugin/logger.js";
import { Secret } from "../plugin/secret.js";
import { LogLines } from "./log-lines.js";

/** Makes the daemon's log on standard error: JSON lines, or text on a terminal. Each plugin gets a child with its id. */
export async function makeLogger(config: Pick<Config, "logLevel" | "logFormat">): Promise<(pluginId: string) => Logger> {
  const text = config.logFormat === "text" || (config.logFormat === "auto" && process.stderr.isTTY);
  const root = pino(
    { level: config.logLevel, base: null, timestamp: pino.stdTimeFunctions.isoTime },
    text ? await textStream() : jsonLines(),
  );
  return (pluginId) => wrap(root.child({ plugin: pluginId }));
}

// --- internal ---

function jsonLines(): DestinationStream {
  const lines = new LogLines(destination({ fd: 2, sync: true }));
  process.on("exit", () => lines.flush());
  return lines;
}

async function textStream(): Promise<DestinationStream> {
  const { default: pretty } = await import("pino-pretty");
  return pretty({
    destination: 2,
    sync: true,
    colorize: process.stderr.isTTY && process.env.NO_COLOR === undefined,
    translateTime: "SYS:HH:MM:ss.l",
    ignore: "plugin",
    messageFormat: "{plugin}: {msg}",
    singleLine: true,
  });
}

function wrap(logger: PinoLogger): Logger {
  const write =
    (level: "debug" | "info" | "warn" | "error") =>
    (message: string, fields: LogFields = {}): void => {
      if (logger.isLevelEnabled(level)) logger[level](printable(fields), message);
    };
  return { debug: write("debug"), info: write("info"), warn: write("warn"), error: write("error") };
}

/** Errors inside fields become their message and code: a stack is asked for with `stack`. */
function printable(fields: LogFields): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).map(([key, value]) => [
      key,
      value instanceof Error ? describe(value) : value instanceof Secret ? "[secret]" : value,
    ]),
  );
}

function describe(error: Error): string {
  const cause = error.cause instanceof Error ? ` (${describe(error.cause)})` : "";
  return `${error.message}${cause}`;
}
