import { closeSync, openSync, writeSync } from "node:fs";
import { ReadStream } from "node:tty";
import { MezError } from "../errors/error.js";
import type { InputStream, OutputStream } from "../plugin/commands.js";
import { Secret } from "../plugin/secret.js";
import { MAX_VALUE_BYTES } from "./flag-value.js";

export interface PromptStreams {
  readonly stdin: InputStream;
  readonly stderr: OutputStream;
  readonly signal: AbortSignal;
}

/**
 * Asks for a password without showing it: on `/dev/tty`, so that it works while standard input or output is a pipe,
 * else on standard input. Ctrl-U erases, Ctrl-C gives up.
 * @param otherWay The flag to use when nobody sits at a terminal, for the message.
 * @throws {MezError} `INVALID_ARGUMENT` when nobody sits at a terminal; the `AbortSignal`'s reason when interrupted
 */
export async function promptSecret(text: string, streams: PromptStreams, otherWay = "--password-stdin"): Promise<Secret> {
  const terminal = openTerminal(streams, otherWay);
  try {
    // Before the prompt: what is typed between the two would be echoed.
    terminal.input.setRawMode?.(true);
    terminal.write(`${text}: `);
    const line = await readHiddenLine(terminal.input, streams.signal, otherWay);
    return new Secret(line);
  } finally {
    terminal.input.setRawMode?.(false);
    terminal.write("\n");
    terminal.close();
  }
}

/**
 * Reads the first line of standard input, without its line end: what `--password-stdin` takes.
 * @throws {MezError} `INVALID_ARGUMENT` when it is empty, has a NUL byte or is longer than 64 KiB
 */
export async function readSecretFromStdin(flag: string, stdin: InputStream): Promise<Secret> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const piece of stdin) {
    const chunk = Buffer.from(piece as Uint8Array);
    const end = chunk.indexOf("\n");
    chunks.push(end < 0 ? chunk : chunk.subarray(0, end));
    length += chunks.at(-1)!.length;
    if (length > MAX_VALUE_BYTES)
      throw new MezError("INVALID_ARGUMENT", `${flag}: the first line of standard input is longer than 64 KiB`);
    if (end >= 0) break;
  }
  const line = Buffer.concat(chunks).toString("utf8").replace(/\r$/, "");
  if (line === "") throw new MezError("INVALID_ARGUMENT", `${flag}: standard input has no first line`);
  if (line.includes("\0"))
    throw new MezError("INVALID_ARGUMENT", `${flag}: the first line of standard input contains a NUL byte`);
  return new Secret(line);
}

// --- internal ---

interface Terminal {
  readonly input: InputStream;
  write(text: string): void;
  close(): void;
}

function openTerminal({ stdin, stderr }: PromptStreams, otherWay: string): Terminal {
  // A program with neither is run by a script; a terminal that it happens to have inherited is not its user's.
  if (stdin.isTTY !== true && stderr.isTTY !== true) throw nobodyThere(otherWay);
  try {
    const descriptor = openSync("/dev/tty", "r+");
    const output = openSync("/dev/tty", "w");
    const input = new ReadStream(descriptor);
    return {
      input,
      write: (text) => void writeSync(output, text),
      close: () => {
        input.destroy();
        closeSync(output);
      },
    };
  } catch {
    if (stdin.isTTY !== true) throw nobodyThere(otherWay);
    return { input: stdin, write: (text) => void stderr.write(text), close: () => void stdin.pause() };
  }
}

function readHiddenLine(input: InputStream, signal: AbortSignal, otherWay: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let line = "";
    const settle = (act: () => void): void => {
      input.removeListener("data", onData);
      input.removeListener("end", onEnd);
      input.removeListener("error", onError);
      signal.removeEventListener("abort", onAbort);
      act();
    };
    const onError = (error: unknown): void => settle(() => reject(error));
    const onAbort = (): void => settle(() => reject(signal.reason));
    const onEnd = (): void => settle(() => (line === "" ? reject(nobodyThere(otherWay)) : resolve(line)));
    const onData = (chunk: Buffer | string): void => {
      for (const character of chunk.toString()) {
        if (character === "\r" || character === "\n") return settle(() => resolve(line));
        if (character === "\u0003") return void process.kill(process.pid, "SIGINT"); // raw mode turns Ctrl-C into a byte
        if (character === "\u0004" && line === "") return onEnd();
        if (character === "\u007f" || character === "\b") line = [...line].slice(0, -1).join("");
        else if (character === "\u0015") line = "";
        else if (character >= " " && Buffer.byteLength(line) < MAX_VALUE_BYTES) line += character;
      }
    };
    if (signal.aborted) return onAbort();
    signal.addEventListener("abort", onAbort);
    input.on("data", onData).on("end", onEnd).on("error", onError);
    input.resume();
  });
}

function nobodyThere(otherWay: string): MezError {
  return new MezError("INVALID_ARGUMENT", `a secret is needed and nobody sits at a terminal; use ${otherWay}`);
}
