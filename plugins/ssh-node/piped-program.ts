import type { Readable, Writable } from "node:stream";
import { takeBytes } from "../../core/flow/lending.js";
import { LentWriter } from "../../core/flow/lent-writer.js";
import type { SshChannel } from "../../core/ssh/server-session.js";
import type { ProgramRecording } from "../recordings/api.js";
import type { UserProcess } from "./user-process.js";

/**
 * Joins a program without a terminal to its channel: half-close and back-pressure both ways, the exit status when it
 * has ended and all of its output is sent.
 */
export function joinPiped(program: UserProcess, channel: SshChannel, recording: ProgramRecording | null): void {
  const { stdin, stderr } = program.child;
  const { stdout } = program;
  if (stdin === null || stdout === null || stderr === null) return;
  copyInput(channel, stdin);
  copyOutput(stdout, channel, recording);
  copyOutput(stderr, channel.stderr, recording);
  channel.once("close", () => {
    stdout.destroy();
    stderr.destroy();
  });
  void program.ended.then(({ status, signal }) => endChannel(channel, status, signal));
}

/** Sends the end of a program, after everything that was written before. */
export function endChannel(channel: SshChannel, status: number | null, signal: NodeJS.Signals | null): void {
  channel.stderr.end(() => {
    if (signal === null) channel.exit(status === null || status < 0 ? EXIT_NOT_STARTED : status);
    else channel.exit(signal.slice("SIG".length), false, "");
    channel.end();
  });
}

// --- internal ---

const EXIT_NOT_STARTED = 127; // as the shell says it

function copyInput(channel: SshChannel, stdin: Writable): void {
  let isOpen = true;
  // What comes for a program that reads no more is thrown away, or the client would wait for ever.
  const discard = () => {
    isOpen = false;
    channel.resume();
  };
  stdin.on("error", discard);
  stdin.once("close", discard);
  const writer = new LentWriter(
    stdin,
    () => channel.pause(),
    () => channel.resume(),
  );
  takeBytes(channel, (bytes) => {
    if (isOpen) writer.write(bytes);
  });
  channel.once("end", () => {
    writer.flush();
    stdin.end();
  });
  channel.once("close", () => stdin.destroy());
}

function copyOutput(source: Readable, target: Writable, recording: ProgramRecording | null): void {
  const writer = new LentWriter(
    target,
    () => source.pause(),
    () => source.resume(),
  );
  takeBytes(source, (bytes) => {
    writer.write(bytes);
    recording?.output(bytes);
  });
  source.on("error", () => undefined);
}
