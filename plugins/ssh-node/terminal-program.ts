import type { SshChannel } from "../../core/ssh/server-session.js";
import type { ProgramRecording } from "../recordings/api.js";
import { endChannel } from "./piped-program.js";
import type { Terminal } from "./terminal.js";
import type { UserProcess } from "./user-process.js";

/** Joins a program with a terminal to its channel. It is over when the program has ended and its last words are sent. */
export function joinTerminal(
  { child }: UserProcess,
  terminal: Terminal,
  channel: SshChannel,
  recording: ProgramRecording | null,
): void {
  const { master } = terminal;
  let end: { readonly status: number | null; readonly signal: NodeJS.Signals | null } | null = null;
  const finish = () => {
    if (end !== null && master.destroyed) endChannel(channel, end.status, end.signal);
  };
  master.on("data", (chunk: Buffer) => {
    recording?.output(chunk);
    if (!channel.write(chunk)) master.pause();
  });
  channel.on("drain", () => master.resume());
  master.on("error", () => undefined); // EIO: the last program has left
  master.once("close", finish);
  master.on("drain", () => channel.resume());
  channel.on("data", (chunk: Buffer) => {
    if (!master.destroyed && !master.write(chunk)) channel.pause();
  });
  child.once("close", (status: number | null, signal: NodeJS.Signals | null) => {
    end = { status, signal };
    master.resume(); // to the end, which the kernel sends when the session leader is gone
    finish();
  });
  channel.once("close", () => master.destroy());
}
