import { randomUUID } from "node:crypto";
import { messageOf } from "../../core/errors/error.js";
import type { ClusterSettings } from "../../core/plugin/cluster-settings.js";
import { type LiveSessions, liveSession, type SessionFacts } from "../../core/plugin/live-sessions.js";
import type { Logger } from "../../core/plugin/logger.js";
import type { Leases } from "../../core/plugin/process.js";
import { ForwardTargets } from "../../core/ssh/forward-targets.js";
import type { SshServerConnection } from "../../core/ssh/server-connection.js";
import type { SshServerSession } from "../../core/ssh/server-session.js";
import type { Clock } from "../../core/time/clock.js";
import { type AuditReporter, recordOfSession, type SessionRecord } from "../audit/api.js";
import type { ProgramRecording, RecordedProgram, SessionRecorder } from "../recordings/api.js";
import { type SessionReporter, startedSession } from "../sessions/api.js";
import { AgentSocket } from "./agent-socket.js";
import type { NodePolicy } from "./node-policy.js";
import type { NodeSettings } from "./node-settings.js";
import { PortForwarding } from "./port-forwarding.js";
import { SessionChannel } from "./session-channel.js";
import type { NodeLogin } from "./session-door.js";
import { SocketForwarding } from "./socket-forwarding.js";

export interface NodeSessionParts {
  readonly nodeName: string;
  readonly settings: NodeSettings;
  /** What the whole cluster is set to. */
  readonly cluster: Pick<ClusterSettings, "get">;
  readonly policy: NodePolicy;
  readonly liveSessions: LiveSessions;
  readonly leases: Leases;
  readonly audit: AuditReporter;
  /** `null` when the cluster records nothing. */
  readonly recorder: SessionRecorder | null;
  readonly reporter: SessionReporter | null;
  readonly logger: Logger;
  readonly clock: Clock;
}

/** One SSH connection of a person who was let in, from its first byte to its end. */
export class NodeSession {
  readonly facts: SessionFacts;
  /** Rejects when the session is one too many; programs wait for it. */
  admitted: Promise<void> = Promise.resolve();
  #endReason: string | null = null;
  readonly #channels = new Set<SessionChannel>();
  #channelCount = 0;
  #agentSocket: Promise<AgentSocket> | null = null;

  constructor(
    readonly connection: SshServerConnection<NodeLogin>,
    readonly parts: NodeSessionParts,
  ) {
    const { claims, account } = connection.identity;
    this.facts = {
      id: connection.peer.sessionId ?? randomUUID(),
      user: claims.user,
      instance: claims.machine?.instance,
      device: claims.device ?? undefined,
      roles: claims.roles,
      login: account.name,
      node: parts.nodeName,
      clientAddress: connection.peer.remoteAddress,
      startedAt: parts.clock.now(),
    };
  }

  get activity(): number {
    return this.connection.dataMessages;
  }

  /** Begins to serve; resolves when the session is over and everything of it is freed. */
  async serve(): Promise<void> {
    const { connection, parts } = this;
    const { claims, account, options } = connection.identity;
    const lease = parts.leases.take();
    const mayForward = options.portForwarding && claims.permitsPortForwarding;
    const targets = new ForwardTargets((direction, target) =>
      this.audit({ type: "session.forward", metadata: { direction, target } }),
    );
    const ports = new PortForwarding(this, targets);
    const sockets = new SocketForwarding(this, account, targets);
    connection.handle({
      session: (opened) => this.#open(opened),
      ...(mayForward ? { ...ports.handlers(), ...sockets.handlers() } : {}),
    });
    // Register before checking again: what takes the access away in between still finds this session.
    const unregister = parts.liveSessions.add(liveSession(this.facts, this));
    parts.reporter?.started(startedSession(this.facts, "node"));
    this.admitted = parts.reporter?.admitted(this.facts.id) ?? this.admitted;
    this.admitted.catch((error: unknown) => this.end(messageOf(error)));
    this.checkAgain();
    const failure = await connection.closed;
    unregister();
    for (const channel of this.#channels) channel.close();
    const { bytesReceived, bytesSent } = connection.stats;
    const reason = this.#endReason ?? failure ?? "the client closed the connection";
    parts.reporter?.ended(this.facts.id, { reason, bytesIn: bytesReceived, bytesOut: bytesSent });
    ports.close();
    sockets.close();
    await this.#agentSocket?.then((socket) => socket.close()).catch(() => undefined);
    lease.return();
  }

  #open(opened: SshServerSession): void {
    const channel = new SessionChannel(this, this.#channelCount++, opened, () => void this.#channels.delete(channel));
    this.#channels.add(channel);
  }

  /** Ends the session when policy does not allow it any more. */
  checkAgain(): void {
    const decision = this.parts.policy.decide(this.connection.identity.claims, this.facts.login, this.connection.peer.factor);
    if (decision.allowed || this.#endReason !== null) return;
    this.audit({
      type: "access.denied",
      success: false,
      errorMessage: decision.reason,
      metadata: { login: this.facts.login, detail: decision.detail },
    });
    this.end(`your access has ended: ${decision.reason}`);
  }

  end(reason: string): void {
    if (this.#endReason !== null) return;
    this.#endReason = reason;
    this.connection.disconnect(reason);
  }

  /** Records a program that is about to start; `null` when nothing is recorded. @throws {MezError} as `SessionRecorder` */
  async record(program: RecordedProgram): Promise<ProgramRecording | null> {
    const { id, user, login, node } = this.facts;
    const session = {
      ...{ id, user, login, node, by: "node" as const },
      end: (reason: string) => this.end(reason),
      onRecordingFailed: ({ reason: errorMessage, ...metadata }: { reason: string; channel: number; sessionGoesOn: boolean }) =>
        this.audit({ type: "session.recording.failed", success: false, errorMessage, metadata }),
    };
    return (await this.parts.recorder?.begin(session, program)) ?? null;
  }

  /** The socket that leads to the client's `ssh-agent`, made when first asked for. */
  agentSocket(): Promise<AgentSocket> {
    this.#agentSocket ??= AgentSocket.open(this.connection);
    return this.#agentSocket;
  }

  /** Writes to the audit log in this session's name. */
  audit(record: SessionRecord): void {
    this.parts.audit.report("node", recordOfSession(this.facts, this.parts.policy.labels, record));
  }
}
