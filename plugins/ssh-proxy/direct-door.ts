import type { Socket } from "node:net";
import type { SecureContext } from "node:tls";
import { isMezError, messageOf } from "../../core/errors/error.js";
import type { Logger } from "../../core/plugin/logger.js";
import { parseCertificate, type SshCertificate } from "../../core/ssh/certificate.js";
import { verifySignature } from "../../core/ssh/signature.js";
import * as direct from "../../core/tunnel/direct-route.js";
import { type HostAuthorities, judgeTrust } from "../../core/tunnel/host-trust.js";
import { PendingConnections } from "../../core/tunnel/pending-connections.js";
import { TlsPrelude } from "../../core/tunnel/tls-prelude.js";
import { type SessionEncryption, type TunnelCredentials, tunnelServerSecureContext } from "../../core/tunnel/tunnel-protocol.js";
import { type ClientLogin, plainAddress } from "./client-login.js";
import { type ClientEnd, FAREWELL_MS } from "./proxy-session.js";
import type { SessionAdmission, Visitor } from "./session-admission.js";

export interface DirectDoorParts {
  readonly credentials: TunnelCredentials;
  readonly login: Pick<ClientLogin, "identify" | "noFactor">;
  readonly admission: Pick<SessionAdmission, "open">;
  /** With `tls`, nobody goes without it: clients are told to come through SSH, whose bytes are in SSH once more. */
  readonly sessionEncryption: SessionEncryption;
  /** The Host CA keys that count; clients that trust others are told so. `undefined` before they are known here. */
  readonly hostAuthorities: () => HostAuthorities | undefined;
  readonly logger: Logger;
  /** From the first byte to the first one after TLS, without the time that the node takes. Default 30,000, as an SSH login has. */
  readonly graceMs?: number;
  /** Clients that have not proven who they are, at once; see `PendingConnections`. Default 1,000. */
  readonly maxPending?: number;
}

/**
 * The direct route to nodes: a client proves inside TLS who it is and says where it wants to go, then both leave TLS and the
 * bytes are copied, which are SSH between the client and the node. See `core/tunnel/direct-route.ts`.
 */
export class DirectDoor {
  readonly #pending: PendingConnections;
  #secureContext: SecureContext;

  constructor(private readonly parts: DirectDoorParts) {
    this.#pending = new PendingConnections(parts.maxPending ?? 1_000);
    this.#secureContext = tunnelServerSecureContext(parts.credentials);
  }

  /** Shows renewed credentials from now on. */
  use(credentials: TunnelCredentials): void {
    this.#secureContext = tunnelServerSecureContext(credentials);
  }

  /** Clients that have not proven who they are. */
  get pendingCount(): number {
    return this.#pending.size;
  }

  /** Takes a TCP connection of which nothing has been read but what was put back. */
  accept(socket: Socket): void {
    const id = `${socket.remoteAddress} ${socket.remotePort} ${socket.localAddress} ${socket.localPort}`;
    const pending = this.#pending.add(id, socket);
    if (pending === null) return;
    pending.speaks = true; // otherwise nobody would know that it comes this way
    socket.on("error", () => undefined);
    socket.once("close", () => this.#pending.delete(id));
    const client = new DirectClient(socket, this.parts, () => this.#pending.delete(id));
    void client.serve(this.#secureContext).catch((error: unknown) => {
      this.parts.logger.debug("a direct client was not served", { address: socket.remoteAddress, reason: messageOf(error) });
      socket.destroySoon();
    });
  }

  /** Ends the connections of those who are not known yet. */
  close(): void {
    this.#pending.closeAll();
  }
}

// --- internal ---

/** An answer without what it says of trust. */
type Answer = Omit<direct.DirectAnswer, "trust">;

const JUMP: Answer = { verdict: "jump", message: "" };
const GRACE_MS = 30_000;
const KEEP_ALIVE_MS = 15_000;

/** One connection from its first byte on. */
class DirectClient {
  #grace: NodeJS.Timeout | undefined;
  #isAnswered = false;
  /** What it trusts, once it is known who it is. */
  #trust: Buffer | null = null;

  constructor(
    private readonly socket: Socket,
    private readonly parts: DirectDoorParts,
    /** Called when it is known who it is. */
    private readonly onKnown: () => void,
  ) {
    socket.once("close", () => clearTimeout(this.#grace));
  }

  async serve(secureContext: SecureContext): Promise<void> {
    this.#await();
    const { socket, parts } = this;
    const prelude = await TlsPrelude.accept(socket, secureContext, direct.DIRECT_ALPN, direct.MAX_DIRECT_REQUEST_BYTES);
    const heard = await prelude.hear();
    let visitor: Visitor;
    let request: direct.DirectRequest;
    try {
      request = direct.decodeDirectRequest(heard);
      visitor = this.#visitor(request, prelude);
    } catch (error) {
      if (!isMezError(error)) parts.logger.error("a direct client could not be served", { error: messageOf(error) });
      const message = isMezError(error) ? error.message : "the proxy failed; its log says why";
      return this.#turnAway(prelude, { verdict: "refused", message });
    }
    this.onKnown();
    this.#trust = request.trust;
    if (parts.sessionEncryption === "tls") return this.#turnAway(prelude, JUMP);
    clearTimeout(this.#grace); // the node has limits of its own
    socket.once("close", () => {
      for (const session of [...visitor.sessions]) session.cut("the client went away");
    });
    await parts.admission.open(visitor, {
      host: request.host,
      port: request.port,
      accept: () => this.#letIn(prelude),
      reject: (message) => this.#end(prelude, { verdict: "refused", message }),
      askElsewhere: () => this.#end(prelude, JUMP),
    });
  }

  /** @throws {MezError} when it is nobody who may come */
  #visitor(request: direct.DirectRequest, { tls }: TlsPrelude): Visitor {
    const { socket, parts } = this;
    const certificate: SshCertificate = parseCertificate(request.certificate);
    // Before anything is said of the certificate, so that every refusal has somebody to name.
    verifySignature(certificate.subjectBlob, direct.directBytesToSign(direct.directExporter(tls), request), request.signature);
    const remoteAddress = socket.remoteAddress ?? "";
    return {
      person: parts.login.identify(certificate, request.user, remoteAddress),
      factor: parts.login.noFactor(),
      address: plainAddress(remoteAddress),
      port: socket.remotePort ?? 0,
      sessions: new Set(),
      farewellMs: FAREWELL_MS,
      onEnd: () => {
        if (this.#isAnswered) socket.destroy();
      },
    };
  }

  /** The same from where nobody waits for it, and nothing once an answer has been given. */
  #end(prelude: TlsPrelude, answer: Answer): void {
    if (!this.#isAnswered) void this.#turnAway(prelude, answer).catch(() => this.socket.destroy());
  }

  async #turnAway(prelude: TlsPrelude, answer: Answer): Promise<void> {
    this.#isAnswered = true;
    this.#await();
    await prelude.say(this.#encoded(answer));
    this.socket.destroySoon();
  }

  /** @returns The bare connection once the client has begun to use it; `null` when it is gone. */
  async #letIn(prelude: TlsPrelude): Promise<ClientEnd | null> {
    const { socket } = this;
    this.#isAnswered = true;
    this.#await();
    const hasLeft = await prelude.sayLast(this.#encoded({ verdict: "go", message: "" })).then(
      () => true,
      () => false,
    );
    // Until its first byte nothing is sent, so that nothing of it ends in the client's TLS.
    if (!hasLeft || !(await hasBegun(socket))) {
      socket.destroy();
      return null;
    }
    clearTimeout(this.#grace);
    socket.setKeepAlive(true, KEEP_ALIVE_MS);
    return { stream: socket, close: () => socket.destroy() };
  }

  #encoded(answer: Answer): Buffer {
    const authorities = this.#trust === null ? undefined : this.parts.hostAuthorities();
    const trust = this.#trust === null || authorities === undefined ? "current" : judgeTrust(this.#trust, authorities);
    return direct.encodeDirectAnswer({ ...answer, trust });
  }

  /** Gives the client its time for what it has to do next. */
  #await(): void {
    clearTimeout(this.#grace);
    this.#grace = setTimeout(() => this.socket.destroy(), this.parts.graceMs ?? GRACE_MS).unref();
  }
}

/** Resolves with the first byte, which stays where it is; false when the connection ends without one. */
function hasBegun(socket: Socket): Promise<boolean> {
  return new Promise((resolve) => {
    const settle = (): void => {
      socket.off("readable", look).off("end", settle).off("close", settle);
      resolve(!socket.destroyed && socket.readableLength > 0);
    };
    const look = (): void => {
      if (socket.readableLength > 0) settle();
    };
    socket.on("readable", look).on("end", settle).on("close", settle);
    look();
    if (socket.destroyed || socket.readableEnded) settle();
  });
}
