import { randomUUID } from "node:crypto";
import type { Duplex } from "node:stream";
import { MezError } from "../../core/errors/error.js";
import type { LiveSession } from "../../core/plugin/live-sessions.js";
import { relay } from "../../core/tunnel/relay.js";
import type { NodeEntry } from "../nodes/api.js";
import type { ProvenSessionMfa } from "../roles/api.js";
import type { CertifiedPerson } from "./certificate-gate.js";

/** Locks and other ends are kept within a second; for so long the node, which speaks with the client, may say why. */
export const FAREWELL_MS = 500;
/** When it has not by then, it does not know: it is told over its tunnel. */
const TELL_AFTER_MS = 200;

export interface ProxySessionParts {
  readonly person: CertifiedPerson;
  readonly target: NodeEntry;
  readonly factor: ProvenSessionMfa | null;
  readonly clientAddress: string;
  readonly startedAt: Date;
  /** How long whoever speaks SSH with the client has to tell it the reason, where this proxy cannot; 0 where it can. */
  readonly farewellMs: number;
  /** Has that one end the session and say why. */
  readonly tellNode: (reason: string) => void;
  /** Called once, when the session is cut from our side. */
  readonly onEnd: (reason: string) => void;
}

/** Where the bytes of a client come from: a channel of its SSH connection, or its bare connection. */
export interface ClientEnd {
  readonly stream: Duplex;
  close(): void;
}

/** The way of a client to a node: bytes go both ways until somebody ends it. */
export class ProxySession implements LiveSession {
  readonly id = randomUUID();
  readonly user: string;
  readonly instance: string | undefined;
  readonly device: string | undefined;
  readonly roles: readonly string[];
  /** Not seen by a proxy. */
  readonly login = "";
  readonly node: string;
  readonly clientAddress: string;
  readonly startedAt: Date;
  readonly #abort = new AbortController();
  #client: ClientEnd | null = null;
  #stream: Duplex | null = null;
  #isEnding = false;
  #activity = 0;
  #isLent = false;

  constructor(private readonly parts: ProxySessionParts) {
    const { person, target, clientAddress, startedAt } = parts;
    this.user = person.user;
    this.instance = person.instance;
    this.device = person.device;
    this.roles = person.roles;
    this.node = target.name;
    this.clientAddress = clientAddress;
    this.startedAt = startedAt;
  }

  get person(): CertifiedPerson {
    return this.parts.person;
  }

  /** As it was when the session was admitted. */
  get target(): NodeEntry {
    return this.parts.target;
  }

  /** The second factor that was proven for this session. */
  get factor(): ProvenSessionMfa | null {
    return this.parts.factor;
  }

  /** Everything inside is encrypted, so a keepalive of the client counts here; whoever serves the session knows better. */
  get activity(): number | undefined {
    return this.#isLent ? undefined : this.#activity;
  }

  /** Aborts when the session is cut; its reason is a `MezError` with the words of `end`. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  end(reason: string): void {
    if (this.#isEnding) return;
    this.#isEnding = true;
    const { farewellMs } = this.parts;
    if (farewellMs === 0 || this.#client === null) return this.cut(reason);
    const telling = setTimeout(() => this.parts.tellNode(reason), TELL_AFTER_MS).unref();
    this.#stream?.once("close", () => clearTimeout(telling));
    setTimeout(() => this.cut(reason), farewellMs).unref();
  }

  /** Ends it at once, whether the person has been told or not. */
  cut(reason: string): void {
    if (this.signal.aborted) return;
    this.#isEnding = true;
    this.#abort.abort(new MezError("ACCESS_DENIED", reason));
    this.parts.onEnd(reason); // before the channel is closed: OpenSSH leaves with its only channel and would not read the reason
    this.#stream?.destroy();
    this.#client?.close();
  }

  /** Has somebody else serve the client, until it is gone. */
  async lend(client: ClientEnd, serve: (stream: Duplex) => Promise<void>): Promise<void> {
    this.#client = client;
    this.#isLent = true;
    await serve(client.stream);
  }

  /** Copies until the node's side is gone; never rejects. */
  async carry(client: ClientEnd, stream: Duplex): Promise<void> {
    if (stream.destroyed) return client.close(); // while the client was waited for
    this.#client = client;
    this.#stream = stream;
    // A client that never confirms the end of its channel does not keep the session in the list.
    const gone = new Promise<void>((resolve) => stream.once("close", () => resolve()));
    void relay(client.stream, stream, () => {
      this.#activity += 1;
    });
    await gone;
  }
}
