import type { EventEmitter } from "node:events";
import { createRequire } from "node:module";
import type { Duplex } from "node:stream";
import { MezError } from "../errors/error.js";

/** The parts of ssh2's inside that we reach into. Written against one version; `ssh2.ts` refuses any other. */
export const SSH2_VERSION = "1.17.0";

/** ssh2's `Protocol`: one per connection, either role. */
export interface Protocol {
  readonly _server: boolean;
  _kex: KeyExchange | undefined;
  /** Our KEXINIT while an exchange is under way. */
  _kexinit: Buffer | undefined;
  readonly _packetRW: { readonly write: PacketWriter };
  readonly _authsQueue: string[];
  readonly _authenticated: boolean;
  /** Undefined once the connection is over. */
  _destruct: ((reason?: string) => void) | undefined;
  _onWrite(data: Buffer): void;
  _onError(error: Error): void;
  _onHandshakeComplete(negotiated: Negotiated): void;
  readonly _handlers: MessageHandlers;
  parse(chunk: Buffer, start: number, end: number): void;
  cleanup(): void;
  disconnect(reason: number): void;
  rekey(): void;
  authPK(user: string, key: unknown, algorithm?: unknown, sign?: unknown): void;
  authFailure(methods: readonly string[], isPartial: boolean): void;
  authSuccess(): void;
  authPKOK(algorithm: string, blob: Buffer): void;
  authInfoReq(name: string, instruction: string, prompts: readonly { prompt: string; echo: boolean }[]): void;
  channelSuccess(channel: number): void;
  channelFailure(channel: number): void;
  channelClose(channel: number): void;
  channelData(channel: number, data: Buffer): void;
  channelExtData(channel: number, data: Buffer, type: number): void;
  channelOpenFail(channel: number, reason: number, description: string): void;
  openssh_authAgent(channel: number, window: number, packetSize: number): void;
}

export interface PacketWriter {
  readonly allocStart: number;
  readonly allocStartKEX: number;
  alloc(size: number, force?: boolean): Buffer;
  finalize(packet: Buffer, force?: boolean): Buffer;
}

export interface Negotiated {
  kex: string;
  serverHostKey: string;
  /** Set by us: the name on the wire, where `serverHostKey` was swapped for a plain algorithm. */
  serverHostKeyWire?: string;
  readonly cs: { readonly cipher: string; readonly mac: string };
  readonly sc: { readonly cipher: string; readonly mac: string };
}

export interface KeyExchange {
  readonly negotiated: Negotiated;
  readonly sessionID: Buffer | undefined;
  readonly _protocol: Protocol;
  readonly _step: number;
  _remoteKexinit: Buffer;
  _public: Buffer | null;
  remoteExtInfoEnabled: boolean;
  type: string;
  hashName: string;
  finish(scOnly?: boolean): unknown;
  parse(payload: Buffer): unknown;
  generateKeys(): void;
  getPublicKey(): Buffer | null;
  convertPublicKey(key: Buffer): Buffer;
  computeSecret(peer: Buffer): Buffer | Error;
}

export interface KexInit {
  readonly lists: { readonly kex: { array: string[] } };
}

export interface ChannelOpen {
  readonly type: string;
  readonly sender: number;
  readonly window: number;
  readonly packetSize: number | undefined;
}

/** What a connection does with each kind of message; a plain object, so entries can be wrapped. */
export interface MessageHandlers {
  CHANNEL_OPEN(protocol: Protocol, open: ChannelOpen): void;
  CHANNEL_OPEN_CONFIRMATION(protocol: Protocol, confirmation: { readonly recipient: number; readonly packetSize: number }): void;
  CHANNEL_DATA(protocol: Protocol, recipient: number, data: Buffer): void;
  CHANNEL_EXTENDED_DATA(protocol: Protocol, recipient: number, data: Buffer, type: number): void;
  CHANNEL_CLOSE(protocol: Protocol, recipient: number): void;
  CHANNEL_REQUEST(protocol: Protocol, recipient: number, type: string, wantReply: boolean, data: unknown): void;
  DISCONNECT(protocol: Protocol, reason: number, description: string): void;
  USERAUTH_INFO_RESPONSE(protocol: Protocol, responses: readonly string[]): void;
}

export interface ChannelEnds {
  readonly incoming: { readonly id: number; readonly window: number };
  readonly outgoing: { readonly id: number };
}

export interface ChannelManager {
  readonly _count: number;
  add(value: unknown): number;
  get(id: number): unknown;
  remove(id: number): void;
}

/** A channel as our callers get it: a stream with a second outgoing one for stderr. */
export interface Channel extends Duplex, ChannelEnds {
  readonly stderr: Duplex;
  close(): void;
  exit(status: number): void;
  exit(signal: string, coreDumped: boolean, message: string): void;
}

export interface Session extends EventEmitter {
  readonly _chanInfo: ChannelEnds;
  _channel: Channel | undefined;
  readonly _ending: boolean;
}

/** ssh2's view of one incoming connection, or of one outgoing connection. */
export interface Connection extends EventEmitter {
  readonly _sock: Duplex;
  readonly _protocol: Protocol;
  readonly _chanMgr: ChannelManager;
}

export interface IncomingConnection extends Connection {
  authenticated: boolean;
  forwardOut(boundAddress: string, boundPort: number, address: string, port: number, done: ChannelCallback): void;
  openssh_forwardOutStreamLocal(socketPath: string, done: ChannelCallback): void;
}

export type ChannelCallback = (error: Error | undefined, channel: Channel) => void;

/** An object that ssh2 takes for a key of its own. */
export interface Ssh2Key {
  readonly type: string;
  getPublicSSH(): Buffer;
  sign(data: Buffer, hash?: string): Buffer | Error;
}

/** Loads one of ssh2's files; ssh2 is CommonJS and shares one copy of each with us. */
export function requireSsh2<T>(path: string): T {
  return load(path === "" ? "ssh2" : `ssh2/${path}`) as T;
}

/** @throws {MezError} `INTERNAL` when that file is loaded already, so that a change to what it imports would come too late */
export function requireNotLoaded(path: string): void {
  if (load.cache[load.resolve(`ssh2/${path}`)] !== undefined)
    throw new MezError("INTERNAL", `ssh2/${path} was loaded before core/ssh could prepare it`);
}

// --- internal ---

const load = createRequire(import.meta.url);
