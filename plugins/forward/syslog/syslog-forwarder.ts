import type { Lifecycle } from "../../../core/plugin/contract.js";
import type { AuditForwarder, ForwardedEvent } from "../../../core/ports/audit-forwarder.js";
import { type SyslogOrigin, toLocalMessage, toSyslogMessage } from "./syslog-message.js";

/** Carries messages to syslog over one protocol. */
export interface SyslogTransport {
  /** Whether the receiver is the syslog of this machine, at its own socket. */
  readonly isLocal: boolean;
  /** The longest message that it carries. */
  readonly maxBytes: number;
  /** Resolved when the system has them. @throws {MezError} `UNAVAILABLE`, also when the connection broke since the last call */
  send(messages: readonly Buffer[], signal: AbortSignal): Promise<void>;
  close(): void;
}

/** Sends events to syslog. No protocol of syslog answers, so what was sent shortly before a failure is sent again. */
export class SyslogForwarder implements AuditForwarder, Lifecycle {
  readonly repeatSeconds = 60;
  /** The last delivery; the next one waits for it. */
  #busy: Promise<void> = Promise.resolve();

  constructor(
    private readonly transport: SyslogTransport,
    private readonly origin: SyslogOrigin,
  ) {}

  /** @throws {MezError} `UNAVAILABLE` */
  deliver(events: readonly ForwardedEvent[], signal: AbortSignal): Promise<void> {
    const turn = this.#busy.then(() => this.#send(events, signal));
    this.#busy = turn.catch(() => undefined);
    return turn;
  }

  async dispose(): Promise<void> {
    await this.#busy;
    this.transport.close();
  }

  async #send(events: readonly ForwardedEvent[], signal: AbortSignal): Promise<void> {
    const { transport, origin } = this;
    const write = transport.isLocal ? toLocalMessage : toSyslogMessage;
    await transport.send(
      events.map((event) => write(event, origin, transport.maxBytes)),
      signal,
    );
  }
}
