/** A program that a client asks for, before the node hears of it. */
export interface RelayedProgram {
  /** Counts the session channels of the connection from 0. */
  readonly channel: number;
  readonly kind: "shell" | "exec" | "subsystem";
  /** The command line for `exec`, the name for `subsystem`, empty for `shell`. */
  readonly command: string;
  readonly terminal: RelayedTerminal | null;
  /** Shows the person a line, now and while the program runs; once it has ended, nothing. */
  tell(line: string): void;
}

export interface RelayedTerminal {
  readonly term: string;
  readonly columns: number;
  readonly rows: number;
}

/** Sees what a program shows. Calls return at once and never throw. */
export interface ProgramWitness {
  /** Valid during the call only. */
  output(bytes: Buffer): void;
  resize(columns: number, rows: number): void;
  /** The channel is gone. */
  close(): void;
}

/** `refused` is one line for the person; `witness` sees the program that starts, `null` for nobody. */
export type ProgramDecision = { readonly refused: string } | { readonly witness: ProgramWitness | null };

/** What the client of a relayed connection may do. Kinds of requests that are not known are refused. */
export interface RelayRules {
  readonly terminal: boolean;
  /** Ports and unix sockets, both ways. */
  readonly forwarding: boolean;
  readonly agentForwarding: boolean;
  /** Decides about a program. Everything that the client sends waits for a promise. */
  start(program: RelayedProgram): ProgramDecision | Promise<ProgramDecision>;
  /** A forwarding that is passed on. @param target `host:port`, a port, or a path. */
  forwards(direction: "local" | "remote", target: string): void;
}
