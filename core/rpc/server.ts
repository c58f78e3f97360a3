import { type EventEmitter, once } from "node:events";
import type { Socket } from "node:net";
import {
  type handleServerStreamingCall,
  type handleUnaryCall,
  Metadata,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type ServerWritableStream,
  type ServiceDefinition,
  type sendUnaryData,
  type UntypedHandleCall,
} from "@grpc/grpc-js";
import { isMezError, MezError, messageOf } from "../errors/error.js";
import type { HostCredentials } from "../plugin/host-identity.js";
import type { CallContext, RpcDefinition, RpcService } from "../plugin/rpc.js";
import { Admission, type AdmissionParts } from "./admission.js";
import { BackgroundLane } from "./background-lane.js";
import type { CallRoute, CallRouter } from "./call-route.js";
import { whileAdmitted } from "./interceptors/admit-again.js";
import { limitMessages, MAX_STRANGERS_MESSAGE_BYTES, type UnreadCall } from "./interceptors/message-limit.js";
import { refuseNulBytes } from "./interceptors/text.js";
import { letGo } from "./let-go.js";
import { RpcListener } from "./listener.js";
import { toStatus } from "./status.js";

const MAX_STREAMS_PER_CONNECTION = 1000;
const ADMIT_AGAIN_EVERY_MS = 10_000;

export interface RpcServerOptions extends AdmissionParts {
  readonly router: CallRouter;
  /** Connections of one network at once, those with a certificate of the cluster not counted; default 1000. */
  readonly strangersPerNetwork?: number;
  /** How often the caller of an open stream is authenticated and authorized again; default 10 s. */
  readonly admitAgainEveryMs?: number;
}

/** What the four kinds of call have in common. */
type AnyCall = Pick<ServerUnaryCall<unknown, unknown>, "metadata" | "getPeer" | "cancelled"> & EventEmitter;

/**
 * The auth service's gRPC server. Each call goes the same way: find the route in the current generation, establish the
 * caller, check the permission, run the handler under a lease. Services stay known after their plugin is disabled, and
 * then answer `PLUGIN_NOT_ENABLED`. A stream of answers outlives the moment of its first check: it is checked again while
 * it is open, and ends when its caller was removed, locked or demoted, or when the credentials ran out.
 */
export class RpcServer {
  readonly #server = new Server({
    "grpc.max_receive_message_length": MAX_STRANGERS_MESSAGE_BYTES,
    "grpc.max_concurrent_streams": MAX_STREAMS_PER_CONNECTION,
    // Whoever stays connected asks for signs of life more often than that.
    "grpc.keepalive_time_ms": 120_000,
    "grpc.keepalive_timeout_ms": 15_000,
    // Books about each connection and call that nobody here reads.
    "grpc.enable_channelz": 0,
    interceptors: [
      limitMessages(
        (peer) => (this.#listener?.facts(peer)?.clientCertificate ?? null) !== null,
        (call) => this.#isKnown(call),
      ),
    ],
  });
  readonly #known = new Set<string>();
  /** Where the methods are found, by their paths. */
  readonly #places = new Map<string, readonly [service: string, method: string]>();
  readonly #streams = new Set<AbortController>();
  readonly #background = new BackgroundLane();
  #listener: RpcListener | null = null;

  readonly #admission: Admission;

  constructor(private readonly options: RpcServerOptions) {
    this.#admission = new Admission(options);
  }

  /** Makes a service callable; one that is known already is left as it is. */
  serve(service: RpcService<RpcDefinition>): void {
    if (this.#known.has(service.name)) return;
    this.#known.add(service.name);
    const implementation: Record<string, UntypedHandleCall> = {};
    for (const [method, definition] of Object.entries(service.definition)) {
      this.#places.set(definition.path, [service.name, method]);
      implementation[method] = definition.responseStream
        ? this.#streaming(service.name, method, definition)
        : this.#unary(service.name, method, definition, service.background?.includes(method) === true);
    }
    this.#server.addService(service.definition as unknown as ServiceDefinition, implementation);
  }

  /** @returns The address listened on, with the port that the system chose when `address` ended in `:0`. */
  async listen(address: string, credentials: HostCredentials): Promise<string> {
    const injector = this.#server.createConnectionInjector(ServerCredentials.createInsecure());
    const events = {
      onConnection: (socket: Socket) => injector.injectConnection(socket),
      admitRelay: (certificate: Buffer, peer: string) => this.#admission.admitRelay(certificate, peer),
      isBlind: () => this.options.isBlind?.() === true,
      logger: this.options.logger,
    };
    const { strangersPerNetwork } = this.options;
    this.#listener = new RpcListener(credentials, events, { strangersPerNetwork });
    return this.#listener.listen(address);
  }

  /** Serves a TCP connection that came to another port, its TLS included. */
  accept(socket: Socket): void {
    if (this.#listener === null) socket.destroy();
    else this.#listener.accept(socket);
  }

  use(credentials: HostCredentials): void {
    this.#listener?.use(credentials);
  }

  async close(): Promise<void> {
    for (const stream of this.#streams) stream.abort();
    this.#server.forceShutdown();
    await this.#listener?.close();
  }

  #unary(
    service: string,
    method: string,
    { path, requestStream }: RpcDefinition[string],
    isBackground: boolean,
  ): UntypedHandleCall {
    const answer = (call: AnyCall): Promise<unknown> =>
      this.#run({ service, method, path }, call, async (route, context) => {
        return (await route.handler(requestOf(call, requestStream), context)) as unknown;
      });
    const handle = (call: AnyCall, callback: sendUnaryData<unknown>): void => {
      (isBackground && this.#isMember(call) ? this.#later(call, answer) : answer(call))
        .then(
          (response) => callback(null, response),
          (error: MezError) => callback(toStatus(error, new Metadata())),
        )
        .finally(() => letGo(call));
    };
    return handle as handleUnaryCall<unknown, unknown>;
  }

  /** Strangers are not kept waiting: they are refused. */
  #isMember(call: AnyCall): boolean {
    return (this.#listener?.facts(call.getPeer())?.clientCertificate ?? null) !== null;
  }

  async #later(call: AnyCall, answer: (call: AnyCall) => Promise<unknown>): Promise<unknown> {
    await this.#background.turn(call.getPeer());
    if (call.cancelled) throw new MezError("CANCELLED", "nobody waits for the answer any more");
    return answer(call);
  }

  #streaming(service: string, method: string, { path, requestStream }: RpcDefinition[string]): UntypedHandleCall {
    const handle = (call: ServerWritableStream<unknown, unknown>): void => {
      void this.#run(
        { service, method, path },
        call,
        async (route, context) => {
          for await (const response of route.handler(requestOf(call, requestStream), context) as AsyncIterable<unknown>) {
            if (context.signal.aborted) return;
            if (!call.write(response)) await once(call, "drain", { signal: context.signal }).catch(() => "ended");
          }
        },
        this.options.admitAgainEveryMs ?? ADMIT_AGAIN_EVERY_MS,
      ).then(
        () => call.end(),
        (error: MezError) => void call.emit("error", toStatus(error, new Metadata())),
      );
    };
    return handle as handleServerStreamingCall<unknown, unknown>;
  }

  async #run<Result>(
    { service, method, path }: { readonly service: string; readonly method: string; readonly path: string },
    call: AnyCall,
    work: (route: CallRoute, context: CallContext) => Promise<Result>,
    admitAgainEveryMs?: number,
  ): Promise<Result> {
    const ended = new AbortController();
    const end = (): void => ended.abort();
    call.on("cancelled", end).on("error", end);
    this.#streams.add(ended);
    let release: (() => void) | null = null;
    try {
      const route = this.options.router(service, method);
      if (route === null)
        throw new MezError("PLUGIN_NOT_ENABLED", `the plugin that serves ${service} is not enabled on this cluster`);
      release = route.lease();
      const context = await this.#admit(path, route, call, ended.signal);
      const running = work(route, context);
      if (admitAgainEveryMs === undefined || route.permission === "public") return await running;
      return await whileAdmitted(running, () => this.#admit(path, route, call, ended.signal), admitAgainEveryMs);
    } catch (error) {
      ended.abort();
      throw this.#presentable(path, error);
    } finally {
      release?.();
      this.#streams.delete(ended);
      call.off("cancelled", end); // it is emitted after every answer as well
    }
  }

  async #isKnown({ path, peer, metadata }: UnreadCall): Promise<boolean> {
    const [facts, place] = [this.#listener?.facts(peer), this.#places.get(path)];
    if (facts === undefined || place === undefined) return false;
    const route = this.options.router(...place);
    return route !== null && route.permission !== "public" && this.#admission.recognize(facts, metadata);
  }

  async #admit(path: string, route: CallRoute, call: AnyCall, signal: AbortSignal): Promise<CallContext> {
    const facts = this.#listener?.facts(call.getPeer());
    if (facts === undefined) throw new MezError("UNAVAILABLE", "the connection is closing");
    return this.#admission.admit({ path, route, facts, metadata: call.metadata, signal });
  }

  #presentable(path: string, error: unknown): MezError {
    if (isMezError(error)) {
      if (error.kind === "internal" || error.detail !== undefined)
        this.options.logger.info("call refused", {
          path,
          code: error.code,
          reason: error.message,
          detail: error.detail,
          cause: error.cause,
        });
      return error;
    }
    this.options.logger.error("call failed", {
      path,
      error: messageOf(error),
      stack: error instanceof Error ? error.stack : undefined,
    });
    return new MezError("INTERNAL", "the server failed to answer; its log has the reason");
  }
}

// --- internal ---

/** The message, checked; or the messages, each checked as it is read. */
function requestOf(call: AnyCall, isStream: boolean): unknown {
  if (isStream) return checked(call as unknown as AsyncIterable<unknown>);
  const { request } = call as unknown as ServerUnaryCall<unknown, unknown>;
  refuseNulBytes(request);
  return request;
}

async function* checked(requests: AsyncIterable<unknown>): AsyncIterable<unknown> {
  for await (const request of requests) {
    refuseNulBytes(request);
    yield request;
  }
}
