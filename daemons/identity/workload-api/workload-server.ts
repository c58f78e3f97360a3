import { type EventEmitter, once } from "node:events";
import type { Socket } from "node:net";
import {
  type handleServerStreamingCall,
  type handleUnaryCall,
  Metadata,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
} from "@grpc/grpc-js";
import { isMezError, MezError, messageOf } from "../../../core/errors/error.js";
import type { Logger } from "../../../core/plugin/logger.js";
import { toStatus } from "../../../core/rpc/status.js";
import { type SpiffeWorkloadAPIServer, SpiffeWorkloadAPIService } from "../../../proto/gen/spiffe/workload.js";
import type { CallerLimits } from "./caller-limits.js";
import type { Workload } from "./workload.js";
import type { WorkloadCall, WorkloadHandlers } from "./workload-handlers.js";

export interface WorkloadServerParts {
  readonly handlers: Pick<
    WorkloadHandlers,
    "fetchX509Svid" | "fetchX509Bundles" | "fetchJwtSvid" | "fetchJwtBundles" | "validateJwtSvid"
  >;
  readonly limits: CallerLimits;
  readonly logger: Logger;
}

/** gRPC on connections that were accepted and attested by us. */
export class WorkloadServer {
  readonly #server = new Server({
    "grpc.max_receive_message_length": MAX_MESSAGE_BYTES,
    "grpc.max_concurrent_streams": MAX_STREAMS_PER_CONNECTION,
    "grpc.keepalive_time_ms": 30_000,
    "grpc.keepalive_timeout_ms": 15_000,
  });
  readonly #injector = this.#server.createConnectionInjector(ServerCredentials.createInsecure());
  readonly #workloads = new Map<string, Workload>();
  readonly #calls = new Set<AbortController>();
  #accepted = 0;

  constructor(private readonly parts: WorkloadServerParts) {
    const { handlers } = parts;
    this.#server.addService(SpiffeWorkloadAPIService, {
      fetchX509Svid: this.#streaming((request, call) => handlers.fetchX509Svid(request, call)),
      fetchX509Bundles: this.#streaming((request, call) => handlers.fetchX509Bundles(request, call)),
      fetchJwtsvid: this.#unary((request, call) => handlers.fetchJwtSvid(request, call)),
      fetchJwtBundles: this.#streaming((request, call) => handlers.fetchJwtBundles(request, call)),
      validateJwtsvid: this.#unary((request, call) => handlers.validateJwtSvid(request, call)),
    } satisfies SpiffeWorkloadAPIServer);
  }

  /** Serves `socket` until it closes. It must not have been read from. */
  serve(socket: Socket, workload: Workload): void {
    // A unix socket has no address: gRPC's name of the peer is given by us.
    this.#accepted += 1;
    const name = `workload-${this.#accepted}`;
    Object.defineProperty(socket, "remoteAddress", { value: name });
    this.#workloads.set(name, workload);
    socket.once("close", () => this.#workloads.delete(name));
    this.#injector.injectConnection(socket);
  }

  close(): void {
    for (const call of this.#calls) call.abort();
    this.#server.forceShutdown();
  }

  #unary<Request, Response>(
    work: (request: Request, call: WorkloadCall) => Promise<Response>,
  ): handleUnaryCall<Request, Response> {
    return (call, callback) => {
      this.#run(call, (workloadCall) => work(call.request, workloadCall)).then(
        (response) => callback(null, response),
        (error: MezError) => callback(toStatus(error, new Metadata())),
      );
    };
  }

  #streaming<Request, Response>(
    work: (request: Request, call: WorkloadCall) => AsyncIterable<Response>,
  ): handleServerStreamingCall<Request, Response> {
    return (call) => {
      this.#run(call, async (workloadCall) => {
        for await (const response of work(call.request, workloadCall)) {
          if (workloadCall.signal.aborted) return;
          if (!call.write(response)) await once(call, "drain", { signal: workloadCall.signal }).catch(() => "ended");
        }
      }).then(
        () => call.end(),
        (error: MezError) => void call.emit("error", toStatus(error, new Metadata())),
      );
    };
  }

  async #run<Result>(call: AnyCall, work: (call: WorkloadCall) => Promise<Result>): Promise<Result> {
    const ended = new AbortController();
    const end = (): void => ended.abort();
    call.on("cancelled", end).on("error", end);
    this.#calls.add(ended);
    let release = (): void => {};
    try {
      requireHeader(call.metadata);
      const workload = this.#workloads.get(call.getPeer());
      if (workload === undefined) throw new MezError("UNAVAILABLE", "the connection is closing");
      release = this.parts.limits.admitCall(workload);
      return await work({ workload, signal: ended.signal });
    } catch (error) {
      throw this.#presentable(error);
    } finally {
      release();
      this.#calls.delete(ended);
      call.off("cancelled", end);
    }
  }

  #presentable(error: unknown): MezError {
    if (isMezError(error) && error.kind !== "internal") return error;
    this.parts.logger.error("a call of a workload failed", {
      error: messageOf(error),
      stack: error instanceof Error ? error.stack : undefined,
    });
    return new MezError("INTERNAL", "the Workload API failed to answer; the log of mezd identity has the reason");
  }
}

// --- internal ---

type AnyCall = Pick<ServerUnaryCall<unknown, unknown>, "metadata" | "getPeer"> & EventEmitter;

const MAX_MESSAGE_BYTES = 64 * 1024;
const MAX_STREAMS_PER_CONNECTION = 100;
const SECURITY_HEADER = "workload.spiffe.io";

/** Keeps others from making a program call by mistake, e.g. by a forged URL. @see SPIFFE_Workload_Endpoint.md, 4.1 */
function requireHeader(metadata: Metadata): void {
  const values = metadata.get(SECURITY_HEADER);
  if (values.length !== 1 || values[0] !== "true")
    throw new MezError("INVALID_ARGUMENT", `the metadata ${SECURITY_HEADER}: true is missing from the call`);
}
