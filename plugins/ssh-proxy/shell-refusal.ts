import type { SshServerSession } from "../../core/ssh/server-session.js";

/** Answers whoever asks for a shell, a command or a subsystem with one line and exit status 1. */
export function refuseSession(session: SshServerSession, line: string): void {
  session.handle({
    terminal: () => true, // refused, it would print a line of its own
    environment: () => true,
    start: (program) => {
      const channel = program.accept();
      if (channel === null) return;
      channel.stderr.write(`${line}\r\n`);
      channel.exit(1);
      channel.end();
    },
  });
}
