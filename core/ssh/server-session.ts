import type { Duplex, Writable } from "node:stream";
import { lendFrom } from "./channel-flow.js";
import { Ssh2Channel } from "./ssh2.js";
import type { Channel, Connection, Session } from "./ssh2-internals.js";

/** A stream to the client. Ending it also closes the channel; `close` is emitted when it is gone, whoever ended it. */
export interface SshChannel extends Duplex {
  /** What is written here arrives as the client's stderr. */
  readonly stderr: Writable;
  /** Sends the exit status of a session's program; before `end()`. */
  exit(status: number): void;
  /** Sends the signal that ended it, without `SIG`: `TERM`. */
  exit(signal: string, coreDumped: boolean, message: string): void;
  close(): void;
}

export interface TerminalSize {
  readonly columns: number;
  readonly rows: number;
  readonly widthPixels: number;
  readonly heightPixels: number;
}

export interface TerminalRequest extends TerminalSize {
  /** The client's `TERM`. */
  readonly term: string;
  /** Modes by their name in RFC 4254, 8, e.g. `ECHO: 1`. */
  readonly modes: Readonly<Record<string, number>>;
}

/** What a session is to run. Answer once, with `accept` or `reject`; data that comes earlier is kept. */
export interface SshProgram {
  readonly kind: "shell" | "exec" | "subsystem";
  /** The command line for `exec`, the name for `subsystem`, empty for `shell`. */
  readonly command: string;
  /** @returns The channel, or null when the client is gone. */
  accept(): SshChannel | null;
  reject(): void;
}

/** What a session may do; what is left out is refused. */
export interface SessionHandlers {
  start(program: SshProgram): void;
  terminal?(request: TerminalRequest): boolean;
  resize?(size: TerminalSize): void;
  environment?(name: string, value: string): boolean;
  /** @param name Without `SIG`. */
  signal?(name: string): void;
  agentForwarding?(): boolean;
  /** The channel is gone, also when no program was ever started. */
  closed?(): void;
}

/** A session channel of the server's side, answering requests in the order in which they came. */
export class SshServerSession {
  #handlers: SessionHandlers = { start: (program) => program.reject() };
  #isStarted = false;

  constructor(
    private readonly connection: Connection,
    private readonly session: Session,
  ) {
    session.once("close", () => this.#handlers.closed?.());
  }

  /** Must be called before the handler that received the session returns. */
  handle(handlers: SessionHandlers): void {
    this.#handlers = handlers;
  }

  /** Answers one request of RFC 4254, 6. */
  request(type: string, wantReply: boolean, data: unknown): void {
    if (type === "shell" || type === "exec" || type === "subsystem")
      return this.#start(type, wantReply, typeof data === "string" ? data : "");
    const isGranted = this.#answer(type, data);
    if (wantReply) this.#reply(isGranted);
  }

  #answer(type: string, data: unknown): boolean {
    const handlers = this.#handlers;
    switch (type) {
      case "pty-req": {
        const request = data as Ssh2Window & { term: string; modes: Record<string, number> };
        return (
          !this.#isStarted &&
          (handlers.terminal?.({ ...terminalSize(request), term: request.term, modes: request.modes }) ?? false)
        );
      }
      case "window-change":
        handlers.resize?.(terminalSize(data as Ssh2Window));
        return handlers.resize !== undefined;
      case "env": {
        const { name, value } = data as { name: string; value: string };
        return !this.#isStarted && (handlers.environment?.(name, value) ?? false);
      }
      case "signal":
        if (handlers.signal === undefined || !/^[A-Z0-9]{1,16}$/.test(String(data))) return false;
        handlers.signal(String(data));
        return true;
      case "auth-agent-req@openssh.com":
        return handlers.agentForwarding?.() ?? false;
      default:
        return false;
    }
  }

  #start(kind: SshProgram["kind"], wantReply: boolean, command: string): void {
    if (this.#isStarted) {
      if (wantReply) this.#reply(false);
      return;
    }
    this.#isStarted = true;
    // The channel exists from now on, not from `accept` on: a client may send data, and its end, at once.
    const channel: Channel = new Ssh2Channel(this.connection, this.session._chanInfo, { server: true });
    channel.on("error", () => undefined);
    lendFrom(channel);
    this.session._channel = channel;
    let isAnswered = false;
    const answer = (isAccepted: boolean): boolean => {
      if (isAnswered) return false;
      isAnswered = true;
      if (wantReply && !this.#isGone) this.#reply(isAccepted);
      return !this.#isGone;
    };
    this.#handlers.start({
      kind,
      command,
      accept: () => (answer(true) ? channel : null),
      reject: () => {
        if (answer(false)) channel.close();
      },
    });
  }

  get #isGone(): boolean {
    return (
      this.connection._protocol._destruct === undefined ||
      this.connection._chanMgr.get(this.session._chanInfo.incoming.id) !== this.session
    );
  }

  #reply(isGranted: boolean): void {
    const { _protocol: protocol } = this.connection;
    if (isGranted) protocol.channelSuccess(this.session._chanInfo.outgoing.id);
    else protocol.channelFailure(this.session._chanInfo.outgoing.id);
  }
}

// --- internal ---

interface Ssh2Window {
  readonly cols: number;
  readonly rows: number;
  readonly width: number;
  readonly height: number;
}

function terminalSize({ cols, rows, width, height }: Ssh2Window): TerminalSize {
  return { columns: cols, rows, widthPixels: width, heightPixels: height };
}
