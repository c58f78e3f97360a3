import { isMezError, messageOf } from "../../core/errors/error.js";
import { type LiveSessions, liveSession, type SessionFacts } from "../../core/plugin/live-sessions.js";
import type { Logger } from "../../core/plugin/logger.js";
import type { Leases } from "../../core/plugin/process.js";
import { type CertificateClaims, claimsOf } from "../../core/ssh/certificate-claims.js";
import { ForwardTargets } from "../../core/ssh/forward-targets.js";
import type { SshServerConnection } from "../../core/ssh/server-connection.js";
import { SessionRelay } from "../../core/ssh/session-relay.js";
import type { Clock } from "../../core/time/clock.js";
import { type AuditReporter, recordOfSession, type SessionRecord } from "../audit/api.js";
import type { NodeEntry } from "../nodes/api.js";
import type { RecordedSession, SessionRecorder } from "../recordings/api.js";
import type { ProvenSessionMfa, SessionOptions } from "../roles/api.js";
import { type SessionReporter, startedSession } from "../sessions/api.js";
import type { AgentlessAccess } from "./agentless-access.js";
import type { AgentlessLink, LinkedNode } from "./agentless-link.js";
import { type AgentlessProgramParts, decideProgram } from "./agentless-programs.js";
import type { CertifiedPerson } from "./certificate-gate.js";
import type { DenialLog } from "./denial-log.js";
import type { SessionPolicy } from "./session-policy.js";

export interface AgentlessSessionParts {
  readonly policy: Pick<SessionPolicy, "objection" | "admitLogin">;
  readonly access: Pick<AgentlessAccess, "report">;
  readonly denials: Pick<DenialLog, "session">;
  readonly audit: AuditReporter;
  /** As they are when a session begins, `null` while their plugins are off. */
  readonly recorder: () => SessionRecorder | null;
  readonly reporter: () => SessionReporter | null;
  readonly liveSessions: LiveSessions;
  readonly leases: Leases;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** A person who was let in to a node without an agent. */
export interface AgentlessLogin {
  readonly person: CertifiedPerson;
  readonly factor: ProvenSessionMfa | null;
  readonly node: NodeEntry;
  readonly login: string;
  readonly options: SessionOptions;
  readonly link: AgentlessLink;
  readonly sessionId: string;
}

/** One SSH connection to a node without an agent: it ends here, another one leads from here to the node. */
export class AgentlessSession {
  readonly facts: SessionFacts;
  readonly #claims: CertificateClaims;
  readonly #reporter: SessionReporter | null;
  #endReason: string | null = null;
  /** Rejects when the session is one too many; programs wait for it. */
  #admitted: Promise<void> = Promise.resolve();
  #relay: SessionRelay | null = null;

  constructor(
    private readonly connection: SshServerConnection<unknown>,
    private readonly entered: AgentlessLogin,
    private readonly parts: AgentlessSessionParts,
  ) {
    const { person, node, login, sessionId } = entered;
    const { user, instance, device, roles } = person;
    this.facts = {
      ...{ id: sessionId, user, instance, device, roles, login, node: node.name },
      clientAddress: connection.peer.remoteAddress,
      startedAt: parts.clock.now(),
    };
    this.#claims = claimsOf(person.certificate);
    this.#reporter = parts.reporter();
  }

  get activity(): number {
    return this.#relay?.dataMessages ?? 0;
  }

  /** Resolves when the session is over and everything of it is freed. */
  async serve(): Promise<void> {
    const { connection, parts } = this;
    const { link } = this.entered;
    const client = connection.handOver();
    const lease = parts.leases.take();
    // Register before checking again: what takes the access away in between still finds this session.
    const unregister = parts.liveSessions.add(liveSession(this.facts, this));
    this.checkAgain();
    try {
      const gone = connection.closed.then((): null => null);
      const linked = await Promise.race([link.ready, gone]);
      if (linked !== null) await this.#carry(linked, new SessionRelay(client, linked.end, this.#rules()));
    } catch (error) {
      this.#refuse(error);
      await connection.closed;
    } finally {
      unregister();
      link.close();
      lease.return();
    }
  }

  /** Ends the session when policy does not allow it any more. */
  checkAgain(): void {
    const { policy, denials } = this.parts;
    const { person, factor, node, login, sessionId } = this.entered;
    if (this.#endReason !== null) return;
    try {
      const objection = policy.objection(person, node, factor);
      if (objection !== null) throw objection;
      policy.admitLogin(person, node, login, factor);
    } catch (error) {
      if (isMezError(error)) denials.session(person, this.facts.clientAddress, node.name, node, error, sessionId);
      this.end(`your access has ended: ${messageOf(error)}`);
    }
  }

  end(reason: string): void {
    if (this.#endReason !== null) return;
    this.#endReason = reason;
    this.connection.disconnect(reason);
    this.entered.link.close();
  }

  async #carry({ connection: node, authority }: LinkedNode, relay: SessionRelay): Promise<void> {
    const { connection, facts } = this;
    const { access, logger } = this.parts;
    const reporter = this.#reporter;
    reporter?.started(startedSession(facts, "proxy"));
    this.#admitted = reporter?.admitted(facts.id) ?? this.#admitted;
    this.#admitted.catch((error: unknown) => this.end(messageOf(error)));
    this.#relay = relay;
    access
      .report(this.entered.node, authority)
      .catch((error: unknown) =>
        logger.warn("the auth service did not hear of a login", { node: facts.node, error: messageOf(error) }),
      );
    const probe = setInterval(() => {
      if (relay.probe() > MAX_UNANSWERED) this.end("the other side gives no sign of life");
    }, PROBE_MS).unref();
    const reason = await Promise.race([
      connection.closed.then((failure) => failure ?? "the client closed the connection"),
      node.closed.then((failure) => failure ?? `node ${facts.node} closed the connection`),
    ]);
    clearInterval(probe);
    relay.close();
    if (!connection.isClosed) connection.disconnect(reason);
    const { bytesReceived, bytesSent } = connection.stats;
    reporter?.ended(facts.id, { reason: this.#endReason ?? reason, bytesIn: bytesReceived, bytesOut: bytesSent });
    node.close();
    await connection.closed;
  }

  /** The node did not let us in. */
  #refuse(error: unknown): void {
    const { person, node, sessionId } = this.entered;
    const { denials, logger } = this.parts;
    if (this.#endReason !== null) return;
    if (isMezError(error) && (error.kind === "denied" || error.kind === "unauthenticated"))
      denials.session(person, this.facts.clientAddress, node.name, node, error, sessionId);
    else logger.warn("a node without an agent was not reached", { node: node.name, user: person.user, error: messageOf(error) });
    this.end(isMezError(error) ? error.message : "the proxy failed; its log says why");
  }

  #rules(): ConstructorParameters<typeof SessionRelay>[2] {
    const { id, user, login, node } = this.facts;
    const { logger } = this.parts;
    const [recorder, reporter] = [this.parts.recorder(), this.#reporter];
    const { fileCopy, portForwarding } = this.entered.options;
    const { forceCommand, permitsTerminal, permitsPortForwarding, permitsAgentForwarding } = this.#claims;
    const session: RecordedSession = {
      ...{ id, user, login, node, by: "proxy" },
      end: (reason) => this.end(reason),
      onRecordingFailed: ({ reason: errorMessage, ...metadata }) =>
        this.#audit({ type: "session.recording.failed", success: false, errorMessage, metadata }),
    };
    const programs: AgentlessProgramParts = {
      ...{ session, recorder, logger, fileCopy, forceCommand },
      admitted: () => this.#admitted,
      audit: (record) => this.#audit(record),
      onExec: (command, channel) => reporter?.exec(id, { command, channel }),
    };
    const targets = new ForwardTargets((direction, target) =>
      this.#audit({ type: "session.forward", metadata: { direction, target } }),
    );
    return {
      terminal: permitsTerminal,
      forwarding: portForwarding && permitsPortForwarding,
      agentForwarding: permitsAgentForwarding,
      start: (program) => decideProgram(program, programs),
      forwards: (direction, target) => targets.add(direction, target),
    };
  }

  #audit(record: SessionRecord): void {
    this.parts.audit.report("proxy", recordOfSession(this.facts, this.entered.node.labels, record));
  }
}

// --- internal ---

const PROBE_MS = 15_000;
const MAX_UNANSWERED = 3;
