import { createHash, X509Certificate } from "node:crypto";
import { connect as connectTcp, isIP } from "node:net";
import { createSecureContext, type PeerCertificate, rootCertificates } from "node:tls";
import { ChannelCredentials, Client, credentials as grpcCredentials, Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { MezError } from "../errors/error.js";
import type { DialOptions, RpcDialer } from "../plugin/dialer.js";
import type { CallOptions, RpcClient, RpcConnection, RpcDefinition, RpcMethod } from "../plugin/rpc.js";
import { parseHostPort } from "./address.js";
import { checkAuthServer } from "./auth-server-check.js";
import { clientStreamCall, type OpenCall, serverStreamCall, unaryCall } from "./client-calls.js";
import { fromStatus } from "./status.js";
import { probeServer } from "./trust-probe.js";

const REACH_TIMEOUT_MS = 3_000;
// What a server may send ahead. HTTP/2's 64 KiB make long answers wait for one WINDOW_UPDATE after the other.
const WINDOW_BYTES = 1024 * 1024;

/** Opens gRPC connections; see `RpcDialer`. */
export const grpcDialer: RpcDialer = { dial: (options) => new GrpcConnection(options) };

// --- internal ---

class GrpcConnection implements RpcConnection {
  #client: Promise<{ client: Client; address: string; fingerprint: Buffer | null }> | null = null;
  #closed = false;

  constructor(private readonly options: DialOptions) {}

  client<Definition extends RpcDefinition>(definition: Definition): RpcClient<Definition> {
    const methods = Object.entries(definition).map(([name, method]) => [name, this.#method(method)]);
    return Object.fromEntries(methods) as RpcClient<Definition>;
  }

  async serverFingerprint(): Promise<Buffer> {
    const { fingerprint, address } = await this.#open();
    return fingerprint ?? sha256(await shownLeaf(address));
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
    return async (request: unknown, options?: CallOptions) => unaryCall(await this.#call(), method, request, options);
  }

  async *#stream(method: RpcMethod<unknown, unknown>, request: unknown, options?: CallOptions): AsyncIterable<unknown> {
    yield* serverStreamCall(await this.#call(), method, request, options);
  }

  async #call(): Promise<OpenCall> {
    const { client, address } = await this.#open();
    return { client, metadata: this.#metadata(), failure: (error) => this.#failure(error, address) };
  }

  /** With several addresses, the call after one that reached nobody starts again at the first. */
  #failure(error: ServiceError, address: string): MezError {
    if (error.code === status.UNAVAILABLE && this.options.addresses.length > 1) {
      this.#client?.then(({ client }) => client.close()).catch(() => {});
      this.#client = null;
    }
    return fromStatus(error, address);
  }

  #metadata(): Metadata {
    const metadata = new Metadata();
    if (this.options.token !== undefined) metadata.set("authorization", `Bearer ${this.options.token.expose()}`);
    return metadata;
  }

  #open(): Promise<{ client: Client; address: string; fingerprint: Buffer | null }> {
    if (this.#closed) return Promise.reject(new MezError("UNAVAILABLE", "the connection is closed"));
    this.#client ??= this.#connect();
    this.#client.catch(() => {
      this.#client = null;
    });
    return this.#client;
  }

  async #connect(): Promise<{ client: Client; address: string; fingerprint: Buffer | null }> {
    const { addresses, trust } = this.options;
    const first = await firstReachable(addresses);
    const leaf = trust.kind === "none" ? await shownLeaf(first) : null;
    const client = new Client(target(first), this.#credentials(leaf, parseHostPort(first).host), {
      "grpc.max_receive_message_length": 64 * 1024 * 1024,
      "grpc.initial_reconnect_backoff_ms": 200,
      "grpc.max_reconnect_backoff_ms": 5_000,
      "grpc-node.flow_control_window": WINDOW_BYTES,
      "grpc.keepalive_time_ms": 20_000,
      "grpc.keepalive_timeout_ms": 10_000,
      "grpc.use_local_subchannel_pool": 1,
      "grpc.service_config_disable_resolution": 1,
      // Node complains of an IP address as the server's name; the certificate is checked against the address all the same.
      ...(isIP(parseHostPort(first).host) === 0 ? {} : { "grpc.ssl_target_name_override": "mezite" }),
    });
    return { client, address: first, fingerprint: leaf === null ? null : sha256(leaf) };
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
      const checkServerIdentity = (_name: string, certificate: PeerCertificate): Error | undefined =>
        checkAuthServer(host, certificate);
      return ChannelCredentials.createFromSecureContext(context, { checkServerIdentity });
    }
    return grpcCredentials.createFromSecureContext(context, {
      checkServerIdentity: (_host, certificate) =>
        leaf.equals(certificate.raw) ? undefined : new Error("the server's certificate changed during the join"),
    });
  }
}

function target(address: string): string {
  const { host, port } = parseHostPort(address);
  const scheme = { 0: "dns", 4: "ipv4", 6: "ipv6" }[isIP(host)];
  return `${scheme}:${host.includes(":") ? `[${host}]` : host}:${port}`;
}

/** The first address where something listens; the only one is not tried beforehand. */
async function firstReachable(addresses: readonly string[]): Promise<string> {
  const [first] = addresses;
  if (first === undefined) throw new MezError("INVALID_ARGUMENT", "no address of an auth service is given");
  if (addresses.length === 1) return first;
  for (const address of addresses) if (await isReachable(address)) return address;
  throw new MezError("UNAVAILABLE", `cannot reach any auth service: ${addresses.join(", ")}`);
}

function isReachable(address: string): Promise<boolean> {
  const { host, port } = parseHostPort(address);
  return new Promise((resolve) => {
    const socket = connectTcp({ host, port });
    const end = (answer: boolean): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(REACH_TIMEOUT_MS, () => end(false));
    socket.once("connect", () => end(true)).once("error", () => end(false));
  });
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
