import type { Duplex } from "node:stream";
import { messageOf } from "../../core/errors/error.js";
import { requireAccountName } from "../../core/plugin/account-name.js";
import type { Collections } from "../../core/plugin/collection.js";
import type { HostIdentity } from "../../core/plugin/host-identity.js";
import type { ChangingGuards } from "../../core/ports/guard.js";
import { createSshServer, type SshServer } from "../../core/ssh/server.js";
import type { SshPeer } from "../../core/ssh/server-connection.js";
import type { Access } from "../roles/api.js";
import { HostKeyRing } from "./host-key-ring.js";
import { NodePolicy } from "./node-policy.js";
import { NodeSession, type NodeSessionParts } from "./node-session.js";
import type { OsAccounts } from "./os-account.js";
import { type NodeLogin, SessionDoor } from "./session-door.js";
import { isRoot } from "./user-rights.js";

export interface NodeServerParts extends Omit<NodeSessionParts, "nodeName" | "policy"> {
  readonly identity: HostIdentity;
  readonly collections: Collections;
  readonly access: Access;
  readonly guards: ChangingGuards;
  readonly accounts: Pick<OsAccounts, "find">;
}

/** The node's SSH server: lets people in and keeps their sessions, wherever the streams come from. */
export class NodeServer {
  readonly #server: SshServer<NodeLogin>;
  readonly #sessions = new Set<NodeSession>();
  readonly #stopWatching: () => void;
  #isCheckDue = false;

  constructor(private readonly parts: NodeServerParts) {
    const { identity, collections, access, guards, accounts, settings, cluster, audit, clock, logger } = parts;
    const nodeName = identity.current().name;
    const policy = new NodePolicy({ collections, identity, access, guards, staleSeconds: settings.policyStaleSeconds });
    const onlyLogin = isRoot() ? null : requireAccountName();
    const door = new SessionDoor({ nodeName, policy, cluster, accounts, onlyLogin, audit, clock });
    const hostKeys = new HostKeyRing(identity);
    this.#server = createSshServer<NodeLogin>({
      hostKeys: () => hostKeys.current(),
      authenticate: (attempt, peer) => door.authenticate(attempt, peer),
      onConnection: (connection) => void this.#serve(new NodeSession(connection, { ...parts, nodeName, policy })),
      onRefused: (reason, peer) => logger.debug("a client was not let in", { reason, address: peer.remoteAddress }),
      onError: (error) => logger.error("SSH server failed at a client", { error: messageOf(error) }),
    });
    this.#stopWatching = policy.onChange(() => this.#checkSoon());
  }

  /** Serves SSH on a stream. `peer` is the person's client as the proxy saw it. */
  serve(stream: Duplex, peer: SshPeer): void {
    this.#server.serve(stream, peer);
  }

  /** Ends one session; `reason` is shown to the person. */
  endSession(id: string, reason: string): void {
    for (const session of this.#sessions) if (session.facts.id === id) session.end(reason);
  }

  /** Ends every session. */
  close(reason: string): void {
    this.#stopWatching();
    for (const session of this.#sessions) session.end(reason);
    this.#server.close(reason);
  }

  async #serve(session: NodeSession): Promise<void> {
    this.#sessions.add(session);
    try {
      await session.serve();
    } catch (error) {
      this.parts.logger.error("a session failed", { session: session.facts.id, error: messageOf(error) });
      session.end("this node made a mistake; its log says more");
    }
    this.#sessions.delete(session);
  }

  /** Once for all changes that arrive together. */
  #checkSoon(): void {
    if (this.#isCheckDue) return;
    this.#isCheckDue = true;
    setImmediate(() => {
      this.#isCheckDue = false;
      for (const session of this.#sessions) session.checkAgain();
    });
  }
}
