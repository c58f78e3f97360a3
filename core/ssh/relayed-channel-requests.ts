import type { RelayEnd } from "./relay-end.js";
import type { ProgramDecision, RelayRules } from "./relay-rules.js";
import { MESSAGE, type RelayedChannel } from "./relayed-channel.js";
import { uint32, WireReader } from "./wire.js";

/** Requests on the channels of a relayed connection. @see RFC 4254, 5.4 and 6 */
export class ChannelRequests {
  /** The client was allowed to lend its `ssh-agent`. */
  isAgentForwarded = false;

  constructor(
    private readonly ends: { readonly client: RelayEnd; readonly node: RelayEnd },
    private readonly rules: RelayRules,
  ) {}

  receive(from: "client" | "node", channel: RelayedChannel, payload: Buffer): void {
    const reader = new WireReader(payload.subarray(5), "request");
    const request: Request = { channel, payload, type: reader.text(), wantsReply: reader.boolean(), reader };
    const passes = from === "node" ? FROM_NODE.has(request.type) : this.#mayPass(request);
    if (passes === null) return;
    if (passes) this.#pass(from, request);
    else if (request.wantsReply) {
      const failure = Buffer.concat([Buffer.of(MESSAGE.channelFailure), uint32(0)]);
      channel[from].replies.answer(failure);
    }
    if (channel[from].replies.length > MAX_WAITING) this.ends[from].fail("too many requests without an answer");
  }

  /** `null` when it is dealt with elsewhere. */
  #mayPass(request: Request): boolean | null {
    const { channel, type, reader } = request;
    if (channel.ordinal === null) return false;
    switch (type) {
      case "shell":
      case "exec":
      case "subsystem":
        if (channel.isStarted) return false;
        channel.isStarted = true;
        this.#start(request, type, type === "shell" ? "" : reader.text());
        return null;
      case "pty-req": {
        if (!this.rules.terminal || channel.isStarted) return false;
        channel.terminal = { term: reader.text(), columns: reader.uint32(), rows: reader.uint32() };
        return true;
      }
      case "window-change": {
        const [columns, rows] = [reader.uint32(), reader.uint32()];
        if (columns > 0 && rows > 0) channel.witness?.resize(columns, rows);
        return true;
      }
      case "auth-agent-req@openssh.com":
        this.isAgentForwarded ||= this.rules.agentForwarding;
        return this.rules.agentForwarding;
      default:
        return FROM_CLIENT.has(type);
    }
  }

  #start(request: Request, kind: "shell" | "exec" | "subsystem", command: string): void {
    const { channel } = request;
    const { ordinal, terminal } = channel;
    const tell = (line: string) => channel.tell(line);
    const decision = this.rules.start({ channel: ordinal ?? 0, kind, command, terminal, tell });
    if (!(decision instanceof Promise)) return this.#begin(request, decision);
    const kept = { ...request, payload: Buffer.from(request.payload) };
    this.ends.client.hold();
    decision
      .catch((): ProgramDecision => ({ refused: "the program cannot be started now" }))
      .then((decided) => this.#begin(kept, decided))
      .finally(() => this.ends.client.release());
  }

  #begin(request: Request, decision: ProgramDecision): void {
    const { channel, wantsReply } = request;
    if ("refused" in decision) return channel.refuseProgram(decision.refused, wantsReply);
    if (channel.node.isTold || this.ends.client.isOver) return decision.witness?.close();
    channel.witness = decision.witness;
    this.#pass("client", request);
  }

  #pass(from: "client" | "node", { channel, payload, wantsReply }: Request): void {
    const target = from === "client" ? channel.node : channel.client;
    if (wantsReply) channel[from].replies.expect();
    payload.writeUInt32BE(target.id, 1);
    target.end.send(payload);
  }
}

// --- internal ---

interface Request {
  readonly channel: RelayedChannel;
  readonly payload: Buffer;
  readonly type: string;
  readonly wantsReply: boolean;
  /** Behind `wantsReply`. */
  readonly reader: WireReader;
}

const MAX_WAITING = 1_000;
/** Besides those that are looked at one by one. */
const FROM_CLIENT: ReadonlySet<string> = new Set(["env", "signal", "break", "eow@openssh.com", "keepalive@openssh.com"]);
const FROM_NODE: ReadonlySet<string> = new Set(["exit-status", "exit-signal", "eow@openssh.com", "keepalive@openssh.com"]);
