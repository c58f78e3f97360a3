import { createHash, X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import { createSecureContext, type PeerCertificate, rootCertificates } from "node:tls";
import { ChannelCredentials, Client, credentials as grpcCredentials, Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { MezError } from "../errors/error.js";
import type { DialOptions, RpcDialer } from "../plugin/dialer.js";
import type { CallOptions, RpcClient, RpcConnection, RpcDefinition, RpcMethod } from "../plugin/rpc.js";
import { parseHostPort } from "./address.js";
import { AddressOrder } from "./address-order.js";
import { checkAuthServer } from "./auth-server-check.js";
import { clientStreamCall, type OpenCall, serverStreamCall, unaryCall } from "./client-calls.js";
import { ConnectAnew } from "./connect-anew.js";
import { firstReady, type OpenClient } from "./first-ready.js";
import { placesOf } from "./name-places.js";
import { hasNotBegun } from "./not-begun.js";
import { ShownAuthority } from "./shown-authority.js";
import { fromStatus } from "./status.js";
import { probeServer } from "./trust-probe.js";
import { UntilServed } from "./until-served.js";

// What a server may send ahead. HTTP/2's 64 KiB make long answers wait for one WINDOW_UPDATE after the other.
const WINDOW_BYTES = 1024 * 1024;

/** Opens gRPC connections; see `RpcDialer`. */
export const grpcDialer: RpcDialer = { dial: (options) => new GrpcConnection(options) };

// --- internal ---

class GrpcConnection implements RpcConnection {
  #client: Promise<OpenClient> | null = null;
  #opened: OpenClient | null = null;
  #closed = false;
  /** How often a server was left: what was remembered of them is out of date by then. */
  #left = 0;
  /** The one of several places of the only name that is connected to. */
  #place: OpenClient | null = null;
  readonly #order: AddressOrder;
  readonly #anew: ConnectAnew;
  readonly #shown: ShownAuthority;
  readonly #untilServed: UntilServed;

  constructor(private readonly options: DialOptions) {
    this.#anew = new ConnectAnew(options.identity === undefined ? PEOPLES_TRIES : 1);
    this.#order = new AddressOrder(options.addresses);
    this.#untilServed = new UntilServed(options.patience);
    this.#shown = new ShownAuthority(options.trust.kind === "authorities" ? options.trust.certificatesPem : []);
  }

  client<Definition extends RpcDefinition>(definition: Definition): RpcClient<Definition> {
    const methods = Object.entries(definition).map(([name, method]) => [name, this.#method(method)]);
    return Object.fromEntries(methods) as RpcClient<Definition>;
  }

  async serverFingerprint(): Promise<Buffer> {
    const { fingerprint, address } = await this.#open();
    return fingerprint ?? sha256(await shownLeaf(address));
  }

  serverAuthority(): Buffer | null {
    return this.#shown.hash();
  }

  moveOn(): void {
    if (this.#opened !== null) this.#leave(this.#opened);
  }

  close(): void {
    this.#closed = true;
    this.#client?.then(({ client }) => client.close()).catch(() => {});
  }

  #method(method: RpcMethod<unknown, unknown>): unknown {
    if (method.responseStream) return (request: unknown, options?: CallOptions) => this.#stream(method, request, options);
    if (method.requestStream)
      return async (requests: AsyncIterable<unknown>, options?: CallOptions) =>
        clientStreamCall(await this.#call(), method, requests, options);
    return (request: unknown, options?: CallOptions) => this.#unary(method, request, options);
  }

  #unary(method: RpcMethod<unknown, unknown>, request: unknown, options?: CallOptions): Promise<unknown> {
    return this.#untilServed.make(() => this.#begun((call) => unaryCall(call, method, request, options)), options?.signal);
  }

  async *#stream(method: RpcMethod<unknown, unknown>, request: unknown, options?: CallOptions): AsyncIterable<unknown> {
    const begin = async (call: OpenCall) => {
      const responses = serverStreamCall(call, method, request, options);
      return { first: await responses.next(), responses };
    };
    const { first, responses } = await this.#untilServed.make(() => this.#begun(begin), options?.signal);
    if (first.done === true) return;
    try {
      yield first.value;
      yield* responses;
    } finally {
      await responses.return();
    }
  }

  /** Begins a call, at the next server when one says that it has not looked at it, and at each at most once. */
  async #begun<Result>(begin: (call: OpenCall) => Promise<Result>): Promise<Result> {
    const { addresses } = this.options;
    for (let others = addresses.length > 1 ? addresses.length - 1 : PEOPLES_TRIES; ; others -= 1) {
      const open = await this.#open();
      try {
        const result = await begin(this.#callOn(open));
        this.#anew.served();
        return result;
      } catch (error) {
        if (others <= 0 || !hasNotBegun(error) || this.#opened === open) throw error;
      }
    }
  }

  async #call(): Promise<OpenCall> {
    return this.#callOn(await this.#open());
  }

  #callOn(open: OpenClient): OpenCall {
    return { client: open.client, metadata: this.#metadata(), failure: (error) => this.#failure(error, open) };
  }

  #failure(error: ServiceError, open: OpenClient): MezError {
    const failure = fromStatus(error, open.address);
    if (error.code === status.UNAVAILABLE || error.code === status.DEADLINE_EXCEEDED) this.#leave(open, hasNotBegun(failure));
    return failure;
  }

  /**
   * With several addresses, the next call begins at the one after this; with one, at whatever is behind it now, when a server there
   * serves nobody. What runs here goes on to its end.
   */
  #leave(open: OpenClient, isRefusing = false): void {
    if (this.#opened !== open) return;
    const knowsOthers = this.options.addresses.length > 1 || (this.#place === open && !isRefusing);
    if (!knowsOthers && !(isRefusing && this.#anew.may())) return;
    this.#client = null;
    this.#opened = null;
    this.#left += 1;
    if (isRefusing) this.#order.refused(open.address);
    else this.#order.failed(open.address);
    open.client.close();
  }

  #metadata(): Metadata {
    const metadata = new Metadata();
    if (this.options.token !== undefined) metadata.set("authorization", `Bearer ${this.options.token.expose()}`);
    return metadata;
  }

  #open(): Promise<OpenClient> {
    if (this.#closed) return Promise.reject(new MezError("UNAVAILABLE", "the connection is closed"));
    if (this.#client !== null) return this.#client;
    const opening = this.#connect();
    this.#client = opening;
    opening.then(
      (open) => {
        this.#opened = open;
      },
      () => {
        this.#client = null;
      },
    );
    return opening;
  }

  /** The only address is not tried beforehand, unless its server was left. Of several, the first whose server shakes hands. */
  async #connect(): Promise<OpenClient> {
    const { addresses } = this.options;
    const [only] = addresses;
    if (only === undefined) throw new MezError("INVALID_ARGUMENT", "no address of an auth service is given");
    if (addresses.length === 1) return (await this.#another(only)) ?? this.#clientOf(only);
    const { answered } = this.options;
    const last = this.#left > 0 ? null : (answered?.last() ?? null);
    const found = await firstReady(this.#order.all(), last, (address) => this.#clientOf(address));
    if (found?.isReady === true) answered?.note(found.open.address);
    else this.#order.askAll();
    // Somebody listens: a call says best why it cannot be made.
    if (found !== null) return found.open;
    throw new MezError("UNAVAILABLE", `cannot reach any auth service: ${addresses.join(", ")}`);
  }

  /** After a server behind a name that stands for several was left: the next that shakes hands. */
  async #another(name: string): Promise<OpenClient | null> {
    if (this.#left === 0) return null;
    const found = await firstReady(await placesOf(name, this.#left), null, (place) => this.#clientOf(name, place));
    if (found?.isReady === false) found.open.client.close();
    this.#place = found?.isReady === true ? found.open : null;
    return this.#place;
  }

  /** @param place Where the server at the address is, when its name stands for several. */
  async #clientOf(address: string, place = address): Promise<OpenClient> {
    const leaf = this.options.trust.kind === "none" ? await shownLeaf(place) : null;
    const client = new Client(target(place), this.#credentials(leaf, parseHostPort(address).host), {
      "grpc.max_receive_message_length": 64 * 1024 * 1024,
      "grpc.initial_reconnect_backoff_ms": 200,
      "grpc.max_reconnect_backoff_ms": 1_500,
      "grpc-node.flow_control_window": WINDOW_BYTES,
      "grpc.keepalive_time_ms": 20_000,
      "grpc.keepalive_timeout_ms": 10_000,
      "grpc.enable_channelz": 0,
      "grpc.use_local_subchannel_pool": 1,
      "grpc.service_config_disable_resolution": 1,
      // Node complains of an IP address as the server's name; the certificate is checked against the address all the same.
      ...(isIP(parseHostPort(address).host) === 0 ? {} : { "grpc.ssl_target_name_override": "mezite" }),
      ...(place === address ? {} : { "grpc.ssl_target_name_override": parseHostPort(address).host }),
    });
    return { client, address, fingerprint: leaf === null ? null : sha256(leaf) };
  }

  /** `leaf`: the one certificate that is accepted, so that what was proved of it holds for every byte that follows. */
  #credentials(leaf: Buffer | null, host: string): ChannelCredentials {
    const { trust, identity } = this.options;
    const context = createSecureContext({
      minVersion: "TLSv1.3",
      ca: leaf !== null ? [pem(leaf)] : trust.kind === "authorities" ? [...trust.certificatesPem] : [...rootCertificates],
      ...(leaf !== null ? { allowPartialTrustChain: true } : {}),
      ...(identity === undefined ? {} : { cert: identity.certificatePem, key: identity.privateKeyPem.expose() }),
    });
    if (leaf === null) {
      const checkServerIdentity = (_name: string, certificate: PeerCertificate): Error | undefined => {
        const refusal = checkAuthServer(host, certificate);
        if (refusal === undefined) this.#shown.note(certificate.raw);
        return refusal;
      };
      return ChannelCredentials.createFromSecureContext(context, { checkServerIdentity });
    }
    return grpcCredentials.createFromSecureContext(context, {
      checkServerIdentity: (_host, certificate) =>
        leaf.equals(certificate.raw) ? undefined : new Error("the server's certificate changed during the join"),
    });
  }
}

/** More than one, since a command has no later. */
const PEOPLES_TRIES = 3;

function target(address: string): string {
  const { host, port } = parseHostPort(address);
  const scheme = { 0: "dns", 4: "ipv4", 6: "ipv6" }[isIP(host)];
  return `${scheme}:${host.includes(":") ? `[${host}]` : host}:${port}`;
}

/** DER of the certificate that a server shows now, whoever signed it. */
async function shownLeaf(address: string): Promise<Buffer> {
  const { chain } = await probeServer(address, []);
  return new X509Certificate(chain[0] as string).raw;
}

function pem(der: Buffer): string {
  return `-----BEGIN CERTIFICATE-----\n${(der.toString("base64").match(/.{1,64}/g) ?? []).join("\n")}\n-----END CERTIFICATE-----\n`;
}

function sha256(bytes: Buffer): Buffer {
  return createHash("sha256").update(bytes).digest();
}
