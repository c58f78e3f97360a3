import { takeBytes } from "../../core/flow/lending.js";
import { LentWriter } from "../../core/flow/lent-writer.js";
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
  const shown = new LentWriter(
    channel,
    () => master.pause(),
    () => master.resume(),
  );
  takeBytes(master, (bytes) => {
    shown.write(bytes); // somebody waits for it; the recording does not
    recording?.output(bytes);
  });
  master.on("error", () => undefined); // EIO: the last program has left
  master.once("close", finish);
  const typed = new LentWriter(
    master,
    () => channel.pause(),
    () => channel.resume(),
  );
  takeBytes(channel, (bytes) => {
    if (!master.destroyed) typed.write(bytes);
  });
  child.once("close", (status: number | null, signal: NodeJS.Signals | null) => {
    end = { status, signal };
    master.resume(); // to the end, which the kernel sends when the session leader is gone
    finish();
  });
  channel.once("close", () => master.destroy());
}
