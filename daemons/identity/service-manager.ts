import { spawn } from "node:child_process";
import type { Logger } from "../../core/plugin/logger.js";

/** Tells a service manager how the daemon is doing. */
export interface ServiceManager {
  ready(status: string): void;
  status(text: string): void;
  stopping(): void;
  /** Ends the signs of life. */
  close(): void;
}

/**
 * The service manager behind `NOTIFY_SOCKET`, or nobody. Node.js cannot send to a unix datagram socket, so the program
 * systemd-notify does; the unit needs `NotifyAccess=all`.
 * @param isAlive Asked before each sign of life: a daemon that hangs gives none.
 * @see sd_notify(3), sd_watchdog_enabled(3)
 */
export function serviceManagerOf(
  env: Readonly<Record<string, string | undefined>>,
  logger: Logger,
  isAlive: () => boolean,
): ServiceManager {
  if ((env["NOTIFY_SOCKET"] ?? "") === "") return { ready() {}, status() {}, stopping() {}, close() {} };
  let hasWarned = false;
  const tell = (...words: readonly string[]): void => {
    const child = spawn("systemd-notify", [`--pid=${process.pid}`, ...words], { stdio: "ignore" });
    child.once("error", (error) => {
      if (!hasWarned)
        logger.warn("cannot tell the service manager anything: systemd-notify does not run", { reason: error.message });
      hasWarned = true;
    });
    child.unref();
  };
  const microseconds = Number(env["WATCHDOG_USEC"]);
  const isWatched = microseconds > 0 && (env["WATCHDOG_PID"] ?? String(process.pid)) === String(process.pid);
  const beat = isWatched
    ? setInterval(() => {
        if (isAlive()) tell("WATCHDOG=1");
      }, microseconds / 2000)
    : null;
  beat?.unref();
  return {
    ready: (status) => tell("--ready", `--status=${status}`),
    status: (text) => tell(`--status=${text}`),
    stopping: () => tell("STOPPING=1"),
    close: () => void (beat === null || clearInterval(beat)),
  };
}
