import { createHash, X509Certificate } from "node:crypto";
import { once } from "node:events";
import { connect as connectTcp, isIP } from "node:net";
import type { Writable } from "node:stream";
import { createSecureContext, type PeerCertificate, rootCertificates } from "node:tls";
import {
  ChannelCredentials,
  Client,
  type ClientReadableStream,
  credentials as grpcCredentials,
  Metadata,
  type ServiceError,
  status,
} from "@grpc/grpc-js";
import { MezError } from "../errors/error.js";
import type { DialOptions, RpcDialer } from "../plugin/dialer.js";
import type { CallOptions, RpcClient, RpcConnection, RpcDefinition, RpcMethod } from "../plugin/rpc.js";
import { parseHostPort } from "./address.js";
import { checkAuthServer } from "./auth-server-check.js";
import { fromStatus } from "./status.js";
import { probeServer } from "./trust-probe.js";

const CALL_TIMEOUT_MS = 20_000;
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
    if (method.responseStream) return (request: unknown, options?: CallOptions) => this.#serverStream(method, request, options);
    if (method.requestStream)
      return (requests: AsyncIterable<unknown>, options?: CallOptions) => this.#clientStream(method, requests, options);
    return (request: unknown, options?: CallOptions) => this.#unary(method, request, options);
  }

  async #unary(method: RpcMethod<unknown, unknown>, request: unknown, options: CallOptions = {}): Promise<unknown> {
    const { client, address } = await this.#open();
    const deadline = new Date(Date.now() + (options.timeoutMs ?? CALL_TIMEOUT_MS));
    return new Promise((resolve, reject) => {
      const call = client.makeUnaryRequest(
        method.path,
        method.requestSerialize,
        method.responseDeserialize,
        request,
        this.#metadata(),
        { deadline },
        (error, response) => {
          options.signal?.removeEventListener("abort", cancel);
          if (error !== null) reject(this.#failure(error, address));
          else resolve(response);
        },
      );
      const cancel = (): void => call.cancel();
      options.signal?.addEventListener("abort", cancel);
      if (options.signal?.aborted === true) cancel();
    });
  }

  async *#serverStream(method: RpcMethod<unknown, unknown>, request: unknown, options: CallOptions = {}): AsyncIterable<unknown> {
    const { client, address } = await this.#open();
    const call: ClientReadableStream<unknown> = client.makeServerStreamRequest(
      method.path,
      method.requestSerialize,
      method.responseDeserialize,
      request,
      this.#metadata(),
      deadlineOf(options),
    );
    const cancel = (): void => call.cancel();
    options.signal?.addEventListener("abort", cancel);
    if (options.signal?.aborted === true) cancel();
    try {
      yield* call as AsyncIterable<unknown>;
    } catch (error) {
      throw this.#failure(error as ServiceError, address);
    } finally {
      options.signal?.removeEventListener("abort", cancel);
      call.cancel();
    }
  }

  async #clientStream(
    method: RpcMethod<unknown, unknown>,
    requests: AsyncIterable<unknown>,
    options: CallOptions = {},
  ): Promise<unknown> {
    const { client, address } = await this.#open();
    const over = new AbortController();
    return new Promise((resolve, reject) => {
      const call = client.makeClientStreamRequest(
        method.path,
        method.requestSerialize,
        method.responseDeserialize,
        this.#metadata(),
        deadlineOf(options),
        (error, response) => {
          options.signal?.removeEventListener("abort", cancel);
          over.abort();
          if (error !== null) reject(this.#failure(error, address));
          else resolve(response);
        },
      );
      call.on("error", () => {});
      const cancel = (): void => call.cancel();
      options.signal?.addEventListener("abort", cancel);
      if (options.signal?.aborted === true) cancel();
      feed(call, requests, over.signal).catch((error: unknown) => {
        call.cancel();
        reject(error);
      });
    });
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

/** Writes all requests, or as many as are wanted: a server may answer before it has read them. */
async function feed(call: Writable, requests: AsyncIterable<unknown>, over: AbortSignal): Promise<void> {
  for await (const request of requests) {
    if (over.aborted) return;
    if (!call.write(request)) await once(call, "drain", { signal: over }).catch(() => "the call is over");
    if (over.aborted) return;
  }
  call.end();
}

function deadlineOf(options: CallOptions): { deadline?: Date } {
  return options.timeoutMs === undefined ? {} : { deadline: new Date(Date.now() + options.timeoutMs) };
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
