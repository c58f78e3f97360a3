import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { type ConnectionOptions, connect } from "node:tls";

const RECORD_HEADER_BYTES = 5; // RFC 8446, 5.1
const RANDOM_AT = RECORD_HEADER_BYTES + 4 + 2; // 4.1.2: after the message's header and legacy_version
const RANDOM_BYTES = 32;
const KEY_SHARE_EXTENSION = 51;

/** The first message of a TLS connection as Node sends it, in which each connection replaces what is its own. */
export class ClientHello {
  private constructor(
    private readonly record: Buffer,
    private readonly sessionIdAt: number,
    private readonly shares: ReadonlyMap<number, { readonly at: number; readonly length: number }>,
  ) {}

  /** Has Node begin a connection with these options, to nobody. */
  static async of(
    options: Pick<ConnectionOptions, "servername" | "ALPNProtocols" | "ciphers" | "minVersion">,
  ): Promise<ClientHello> {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const accepted = once(server, "connection") as Promise<[Socket]>;
    const client = connect({ ...options, host: "127.0.0.1", port: (server.address() as AddressInfo).port });
    client.on("error", () => undefined);
    try {
      const [socket] = await accepted;
      const [record] = (await once(socket, "data")) as [Buffer];
      socket.destroy();
      return ClientHello.parse(record);
    } finally {
      client.destroy();
      server.close();
    }
  }

  /** Groups that it brings a key for, by their numbers, and the length of that key. */
  get groups(): ReadonlyMap<number, number> {
    return new Map([...this.shares].map(([group, { length }]) => [group, length]));
  }

  /** What connections that begin alike have in common. */
  get common(): Buffer {
    return this.fill(
      Buffer.alloc(RANDOM_BYTES),
      new Map([...this.groups].map(([group, length]) => [group, Buffer.alloc(length)])),
    );
  }

  /** As a record. @param shares A key for each of `groups`. */
  fill(random: Buffer, shares: ReadonlyMap<number, Buffer>): Buffer {
    const record = Buffer.from(this.record);
    random.copy(record, RANDOM_AT);
    random.copy(record, this.sessionIdAt); // any will do, and it has the same length
    for (const [group, { at, length }] of this.shares) {
      const share = shares.get(group);
      if (share?.length !== length) throw new Error(`there is no key of ${length} bytes for group ${group}`);
      share.copy(record, at);
    }
    return record;
  }

  /** @param record The first of a connection, whole. */
  static parse(record: Buffer): ClientHello {
    if (record.length !== RECORD_HEADER_BYTES + record.readUInt16BE(3)) throw new Error("the hello is not one record");
    const sessionIdAt = RANDOM_AT + RANDOM_BYTES + 1;
    let at = sessionIdAt + record.readUInt8(sessionIdAt - 1);
    at += 2 + record.readUInt16BE(at); // cipher suites
    at += 1 + record.readUInt8(at); // compression
    const end = at + 2 + record.readUInt16BE(at);
    at += 2;
    const shares = new Map<number, { at: number; length: number }>();
    while (at < end) {
      const [type, length] = [record.readUInt16BE(at), record.readUInt16BE(at + 2)];
      for (let share = at + 6; type === KEY_SHARE_EXTENSION && share < at + 4 + length; ) {
        const shareLength = record.readUInt16BE(share + 2);
        shares.set(record.readUInt16BE(share), { at: share + 4, length: shareLength });
        share += 4 + shareLength;
      }
      at += 4 + length;
    }
    return new ClientHello(record, sessionIdAt, shares);
  }
}
