import { readFile } from "node:fs/promises";
import { MezError } from "../errors/error.js";
import { systemReason } from "../errors/system-reason.js";
import type { CommandContext } from "./commands.js";

const MAX_BYTES = 1_048_576;

/**
 * The text of the file that a `--from-file` names; `-` is standard input, of 1 MiB at most.
 * @throws {MezError} `INVALID_ARGUMENT` when it cannot be read
 */
export async function readDocument(context: CommandContext, file: string): Promise<string> {
  if (file === "-") return readStdin(context);
  try {
    return await readFile(file, "utf8");
  } catch (cause) {
    throw new MezError("INVALID_ARGUMENT", `cannot read ${file}: ${systemReason(cause)}`, { cause });
  }
}

// --- internal ---

async function readStdin(context: CommandContext): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of context.stdin) {
    chunks.push(Buffer.from(chunk));
    length += chunk.length;
    if (length > MAX_BYTES) throw new MezError("INVALID_ARGUMENT", `standard input holds more than ${MAX_BYTES} bytes`);
  }
  return Buffer.concat(chunks).toString("utf8");
}
