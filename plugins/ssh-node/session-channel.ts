import { isMezError, messageOf } from "../../core/errors/error.js";
import type { SshChannel, SshProgram, SshServerSession, TerminalRequest, TerminalSize } from "../../core/ssh/server-session.js";
import type { ProgramRecording } from "../recordings/api.js";
import { environmentOf, isAcceptedVariable } from "./environment.js";
import type { NodeSession } from "./node-session.js";
import { joinPiped } from "./piped-program.js";
import { commandFor, type SessionCommand } from "./session-command.js";
import { Terminal } from "./terminal.js";
import { setTerminalModes } from "./terminal-modes.js";
import { joinTerminal } from "./terminal-program.js";
import { UserProcess } from "./user-process.js";

/** One session channel: its requests, then the program that runs in it. */
export class SessionChannel {
  readonly #variables = new Map<string, string>();
  #terminalRequest: TerminalRequest | null = null;
  #terminal: Terminal | null = null;
  #recording: ProgramRecording | null = null;
  #process: UserProcess | null = null;
  #channel: SshChannel | null = null;
  #linesToTell: string[] = [];
  #wantsAgent = false;
  #isClosed = false;

  constructor(
    private readonly session: NodeSession,
    private readonly number: number,
    opened: SshServerSession,
    private readonly onClosed: () => void,
  ) {
    const { claims } = session.connection.identity;
    opened.handle({
      start: (program) => void this.#start(program),
      terminal: (request) => {
        if (claims.permitsTerminal) this.#terminalRequest = request;
        return claims.permitsTerminal;
      },
      resize: (size) => this.#resize(size),
      environment: (name, value) => this.#setVariable(name, value),
      signal: (name) => this.#process?.signal(name),
      agentForwarding: () => {
        this.#wantsAgent = claims.permitsAgentForwarding;
        return this.#wantsAgent;
      },
      closed: () => this.close(),
    });
  }

  async #start(program: SshProgram): Promise<void> {
    const { settings, reporter } = this.session.parts;
    const { claims, account, options } = this.session.connection.identity;
    const { forceCommand } = claims;
    const command = commandFor(program, {
      account,
      forceCommand,
      allowsFileCopy: options.fileCopy,
      sftpServer: settings.sftpServer,
    });
    if ("refused" in command) {
      const metadata = { command: program.command, channel: this.number };
      this.session.audit({ type: "access.denied", success: false, errorMessage: command.refused, metadata });
      return refuse(program, command.refused);
    }
    if (command.shown !== null) reporter?.exec(this.session.facts.id, { command: command.shown, channel: this.number });
    if (command.isTransfer)
      this.session.audit({ type: "session.file", metadata: { program: command.shown, channel: this.number } });
    try {
      await this.session.admitted;
      await this.#run(program, command);
    } catch (error) {
      this.session.parts.logger.error("a program was not started", { session: this.session.facts.id, error: messageOf(error) });
      refuse(program, isMezError(error) ? error.message : "the program cannot be started on this node now");
    }
    if (this.#isClosed) this.close(); // the client left while we prepared
  }

  async #run(program: SshProgram, command: SessionCommand): Promise<void> {
    const { session } = this;
    const { account } = session.connection.identity;
    if (!command.isTransfer || this.#terminalRequest !== null) {
      this.#recording = await session.record({
        ...{ channel: this.number, command: command.shown, terminal: this.#terminalRequest },
        tell: (line) => this.#tell(line),
      });
    }
    const agent = this.#wantsAgent ? await session.agentSocket() : null;
    const terminal = await this.#openTerminal();
    const environment = environmentOf({
      account,
      sessionId: session.facts.id,
      clientAddress: session.facts.clientAddress,
      clientPort: session.connection.peer.remotePort,
      accepted: this.#variables,
      terminal: terminal === null ? null : { term: this.#terminalRequest?.term || "dumb", path: terminal.path },
      agentSocket: agent?.path ?? null,
      originalCommand: command.original,
    });
    if (this.#isClosed) return terminal?.closeSlave();
    const process = await UserProcess.start(command, { account, environment, terminal });
    this.#process = process;
    const channel = program.accept();
    process.child.on("error", (error) =>
      channel?.stderr.write(`mezite: ${command.file} cannot be started: ${messageOf(error)}\r\n`),
    );
    if (channel === null) return;
    this.#channel = channel;
    channel.once("close", () => this.close());
    for (const line of this.#linesToTell) this.#tell(line);
    if (terminal !== null) joinTerminal(process, terminal, channel, this.#recording);
    else joinPiped(process, channel, this.#recording);
  }

  async #openTerminal(): Promise<Terminal | null> {
    const request = this.#terminalRequest;
    if (request === null) return null;
    const terminal = Terminal.open(this.session.connection.identity.account, request.columns, request.rows);
    this.#terminal = terminal;
    await setTerminalModes(terminal.path, request.modes);
    return terminal;
  }

  #resize({ columns, rows }: TerminalSize): void {
    this.#terminal?.resize(columns, rows);
    if (columns > 0 && rows > 0) this.#recording?.resize(columns, rows);
  }

  #setVariable(name: string, value: string): boolean {
    const { acceptedVariables } = this.session.parts.settings;
    if (!isAcceptedVariable(name, acceptedVariables) || value.includes("\0") || this.#variables.size >= MAX_VARIABLES)
      return false;
    this.#variables.set(name, value);
    return true;
  }

  /** Shows the person a line, as soon as there is somewhere to show it. */
  #tell(line: string): void {
    if (this.#channel === null) this.#linesToTell.push(line);
    else this.#channel.stderr.write(`mezite: ${line}\r\n`);
  }

  /** The channel is gone: so are its program, terminal and recording. May be called twice. */
  close(): void {
    this.#isClosed = true;
    this.onClosed();
    this.#process?.signal("HUP");
    this.#terminal?.master.destroy();
    this.#recording?.close();
  }
}

// --- internal ---

const MAX_VARIABLES = 100;
const EXIT_REFUSED = 1;

/** Answers with a line in place of a program: a bare refusal tells the person nothing. */
function refuse(program: SshProgram, reason: string): void {
  const channel = program.accept();
  if (channel === null) return;
  channel.resume();
  channel.stderr.end(`mezite: ${reason}\r\n`, () => {
    channel.exit(EXIT_REFUSED);
    channel.end();
  });
}
