import { MezError } from "../errors/error.js";
import { installAlgorithms } from "./algorithms.js";
import { installCertificateLogin, installCertificateParsing, prepareHostCertificate } from "./certificate-key.js";
import { installChacha20 } from "./chacha20.js";
import { installChannelFlow } from "./channel-flow.js";
import { installGcmCipher } from "./gcm-cipher.js";
import { installKeyExchangeNames, prepareKeyExchange, renameInOffer } from "./key-exchange.js";
import { refuseUntriedCiphers } from "./native-ciphers.js";
import { installPadding } from "./padding.js";
import {
  type Channel,
  type ChannelEnds,
  type Connection,
  type KexInit,
  type KeyExchange,
  type Protocol,
  requireSsh2,
  SSH2_VERSION,
} from "./ssh2-internals.js";
import { installTransport, transportOf } from "./transport.js";

/*
 * The one place where ssh2 is loaded. It is changed as it is loaded, no file of it is touched, and the order matters:
 * what `kex.js` imports must be in place before `Protocol.js` loads it.
 */
const { version } = requireSsh2<{ version: string }>("package.json");
if (version !== SSH2_VERSION)
  throw new MezError("INTERNAL", `core/ssh is written against ssh2 ${SSH2_VERSION} and found ${version}`);

refuseUntriedCiphers();
installPadding();
installAlgorithms();
installChacha20();
installGcmCipher();
installCertificateParsing();
installKeyExchangeNames();
installTransport();
installCertificateLogin();
installAccessors();
installChannelFlow();

/** Which code encrypts: ssh2's compiled binding, or JavaScript at about half the speed. Logged at start. */
export function sshCryptoBackend(): "native" | "javascript" {
  return requireSsh2<{ bindingAvailable: boolean }>("lib/protocol/crypto.js").bindingAvailable ? "native" : "javascript";
}

export const { Client: Ssh2Client, Server: Ssh2Server } = requireSsh2<{
  Client: new () => OutgoingClient;
  Server: new (options: object) => IncomingServer;
}>("");

/** ssh2's channel, its window and packet size. */
export const {
  Channel: Ssh2Channel,
  MAX_WINDOW,
  PACKET_SIZE,
} = requireSsh2<{
  Channel: new (connection: Connection, ends: ChannelEnds, options: { server: boolean }) => Channel;
  MAX_WINDOW: number;
  PACKET_SIZE: number;
}>("lib/Channel.js");

type Done = (error: Error | undefined, channel: Channel) => void;

export interface OutgoingClient extends Connection {
  connect(options: object): void;
  end(): void;
  exec(command: string, options: object, done: Done): void;
  shell(window: object | false, options: object, done: Done): void;
  subsys(name: string, done: Done): void;
  forwardOut(sourceAddress: string, sourcePort: number, address: string, port: number, done: Done): void;
  openssh_forwardOutStreamLocal(socketPath: string, done: Done): void;
}

export interface IncomingServer extends NodeJS.EventEmitter {
  injectSocket(socket: object): void;
}

// --- internal ---

/** Both are assigned by ssh2 at the right moments: the offer in the constructor, the exchange when one begins. */
function installAccessors(): void {
  const { prototype } = requireSsh2<{ prototype: Protocol }>("lib/protocol/Protocol.js");
  const offers = new WeakMap<Protocol, KexInit>();
  const exchanges = new WeakMap<Protocol, KeyExchange>();
  Object.defineProperty(prototype, "_offer", {
    configurable: true,
    get(this: Protocol) {
      return offers.get(this);
    },
    set(this: Protocol, offer: KexInit) {
      renameInOffer(offer);
      offers.set(this, offer);
      transportOf(this); // before the first cipher is made: every cipher captures the counting writer
    },
  });
  Object.defineProperty(prototype, "_kex", {
    configurable: true,
    get(this: Protocol) {
      return exchanges.get(this);
    },
    set(this: Protocol, exchange: KeyExchange | undefined) {
      if (exchange === undefined) return;
      prepareKeyExchange(exchange);
      prepareHostCertificate(exchange);
      exchanges.set(this, exchange);
    },
  });
}
