import { closeSync, openSync } from "node:fs";
import { ReadStream, WriteStream } from "node:tty";
import type { CommandContext } from "../core/plugin/commands.js";

/**
 * Opens a way to ask the person at the terminal a yes-or-no question, on `/dev/tty`, so that it works while standard
 * input or output is a pipe. `null` when nobody sits there.
 */
export function terminalQuestion(context: CommandContext): ((text: string) => Promise<boolean>) | null {
  // A program with neither is run by a script; a terminal that it happens to have inherited is not its user's.
  if (context.stdin.isTTY !== true && context.stderr.isTTY !== true) return null;
  const descriptor = openTerminal();
  if (descriptor === null) return null;
  closeSync(descriptor);
  return (text) => ask(text, context.signal);
}

// --- internal ---

function openTerminal(): number | null {
  try {
    return openSync("/dev/tty", "r+");
  } catch {
    return null;
  }
}

async function ask(text: string, signal: AbortSignal): Promise<boolean> {
  const input = new ReadStream(openSync("/dev/tty", "r"));
  const output = new WriteStream(openSync("/dev/tty", "w"));
  const { createInterface } = await import("node:readline/promises");
  const lines = createInterface({ input, output });
  try {
    let answer = await lines.question(text, { signal });
    while (!/^(yes|no)$/i.test(answer.trim())) answer = await lines.question('Please type "yes" or "no": ', { signal });
    return /^yes$/i.test(answer.trim());
  } finally {
    lines.close();
    input.destroy();
    output.destroy();
  }
}
