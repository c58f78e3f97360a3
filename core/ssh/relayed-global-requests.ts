import type { RelayEnd } from "./relay-end.js";
import type { RelayRules } from "./relay-rules.js";
import { MESSAGE } from "./relayed-channel.js";
import { ReplyQueue } from "./reply-queue.js";
import { string, WireReader } from "./wire.js";

/** Requests of a relayed connection that belong to no channel, and the ports that the node listens on by them. @see RFC 4254, 4 and 7 */
export class GlobalRequests {
  readonly #replies: Readonly<Record<Side, ReplyQueue>>;
  readonly #ports = new Set<number>();
  readonly #paths = new Set<string>();
  readonly #unanswered: Record<Side, number> = { client: 0, node: 0 };

  constructor(
    private readonly ends: Readonly<Record<Side, RelayEnd>>,
    private readonly rules: RelayRules,
  ) {
    const to = (end: RelayEnd) => new ReplyQueue((payload) => void end.send(payload));
    this.#replies = { client: to(ends.client), node: to(ends.node) };
  }

  receive(from: Side, payload: Buffer): void {
    const other = from === "client" ? "node" : "client";
    if (payload[0] !== MESSAGE.globalRequest) {
      if (!this.#replies[other].receive(payload)) this.ends[from].fail("answer to a request that was not made");
      return;
    }
    const reader = new WireReader(payload.subarray(1), "request");
    const [name, wantsReply] = [reader.text(), reader.boolean()];
    const passage = from === "client" ? this.#passage(name, reader) : FROM_NODE.has(name) ? {} : null;
    if (passage !== null) {
      if (wantsReply) this.#replies[from].expect(passage.onReply);
      this.ends[other].send(payload);
    } else if (wantsReply) {
      this.#replies[from].answer(Buffer.of(MESSAGE.requestFailure));
    }
    if (this.#replies[from].length > MAX_WAITING) this.ends[from].fail("too many requests without an answer");
  }

  /** Why a channel that the node opens is refused; `null` when the client has asked for such channels. */
  objection(type: string, rest: Buffer, agent: { readonly isAgentForwarded: boolean }): string | null {
    const reader = new WireReader(rest, "forwarding");
    const isExpected =
      (type === "auth-agent@openssh.com" && agent.isAgentForwarded) ||
      (type === "forwarded-tcpip" && reader.text() !== null && this.#ports.has(reader.uint32())) ||
      (type === "forwarded-streamlocal@openssh.com" && this.#paths.has(reader.text()));
    return isExpected ? null : "the client did not ask for this";
  }

  /** Asks both sides for a sign of life. @returns How many such questions the more silent side has not answered. */
  probe(): number {
    const question = Buffer.concat([Buffer.of(MESSAGE.globalRequest), string("keepalive@openssh.com"), Buffer.of(1)]);
    for (const side of ["client", "node"] as const) {
      this.#unanswered[side] += 1;
      const asker = side === "client" ? "node" : "client";
      this.#replies[asker].expect(() => {
        this.#unanswered[side] = 0;
      }, true);
      this.ends[side].send(Buffer.from(question));
    }
    return Math.max(this.#unanswered.client, this.#unanswered.node) - 1;
  }

  #passage(name: string, reader: WireReader): Passage | null {
    const { forwarding } = this.rules;
    switch (name) {
      case "keepalive@openssh.com":
      case "no-more-sessions@openssh.com":
        return {};
      case "tcpip-forward": {
        const [address, port] = [reader.text(), reader.uint32()];
        return forwarding ? { onReply: (payload) => this.#listens(address, port, payload) } : null;
      }
      case "cancel-tcpip-forward": {
        reader.text();
        if (forwarding) this.#ports.delete(reader.uint32());
        return forwarding ? {} : null;
      }
      case "streamlocal-forward@openssh.com": {
        const path = reader.text();
        const onReply = (payload: Buffer) => {
          if (payload[0] !== MESSAGE.requestSuccess) return;
          this.#paths.add(path);
          this.rules.forwards("remote", path);
        };
        return forwarding ? { onReply } : null;
      }
      case "cancel-streamlocal-forward@openssh.com":
        if (forwarding) this.#paths.delete(reader.text());
        return forwarding ? {} : null;
      default:
        return null;
    }
  }

  /** The node listens; on a port of its choice when the client left it open. */
  #listens(address: string, port: number, payload: Buffer): void {
    if (payload[0] !== MESSAGE.requestSuccess) return;
    const bound = port === 0 ? new WireReader(payload.subarray(1), "answer").uint32() : port;
    this.#ports.add(bound);
    this.rules.forwards("remote", address === "" || address === "localhost" ? `${bound}` : `${address}:${bound}`);
  }
}

// --- internal ---

type Side = "client" | "node";

/** A request that may be passed on. */
interface Passage {
  readonly onReply?: (payload: Buffer) => void;
}

const MAX_WAITING = 1_000;
const FROM_NODE: ReadonlySet<string> = new Set(["keepalive@openssh.com"]);
