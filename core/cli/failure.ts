import { isMezError, messageOf } from "../errors/error.js";
import { systemReason } from "../errors/system-reason.js";
import { EXIT_CODES, exitCodeOf, isSystemError } from "./exit-codes.js";
import type { ProgramIo } from "./program-io.js";
import { escapeControls } from "./terminal-text.js";

/**
 * Tells the person what went wrong: one line on standard error, and a hint where there is one. `MEZITE_DEBUG=1` adds
 * the stack.
 * @returns The exit code.
 */
export function reportFailure(binary: string, thrown: unknown, io: Pick<ProgramIo, "stderr" | "env">): number {
  if (isSystemError(thrown) && thrown.code === "EPIPE") return EXIT_CODES["broken-pipe"];
  const expected = isMezError(thrown) ? thrown.kind !== "internal" : isSystemError(thrown);
  const message = `${expected ? "" : "unexpected error: "}${messageChain(thrown)}`;
  const hint = isMezError(thrown) ? thrown.fields["hint"] : undefined;
  const debug = (io.env["MEZITE_DEBUG"] ?? "") !== "" && io.env["MEZITE_DEBUG"] !== "0";
  io.stderr.write(`${binary}: ${oneLine(message)}\n`);
  if (typeof hint === "string") io.stderr.write(`${binary}: hint: ${oneLine(hint)}\n`);
  else if (!expected && !debug) io.stderr.write(`${binary}: hint: MEZITE_DEBUG=1 shows where it happened\n`);
  if (debug) io.stderr.write(`${stackOf(thrown)}\n`);
  return exitCodeOf(thrown);
}

// --- internal ---

const MAX_CAUSES = 5;

/** `starting plugin "connector.oidc": issuer is not reachable`: each cause unless the text before already says it. */
function messageChain(thrown: unknown): string {
  let text = messageOf(thrown);
  let cause = causeOf(thrown);
  for (let depth = 0; cause !== undefined && depth < MAX_CAUSES; depth++) {
    const next = isSystemError(cause) ? systemReason(cause) : messageOf(cause);
    if (!text.includes(next)) text = `${text}: ${next}`;
    cause = causeOf(cause);
  }
  return text;
}

function causeOf(thrown: unknown): unknown {
  return thrown instanceof Error ? thrown.cause : undefined;
}

function oneLine(text: string): string {
  return escapeControls(text.trim().replace(/\s*\n\s*/g, "; "));
}

function stackOf(thrown: unknown): string {
  const stack = thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown);
  const cause = causeOf(thrown);
  const whole = cause === undefined ? stack : `${stack}\ncaused by ${stackOf(cause)}`;
  return whole.split("\n").map(escapeControls).join("\n");
}
