import { once } from "node:events";
import type { Writable } from "node:stream";
import type { Client, ClientReadableStream, Metadata, ServiceError } from "@grpc/grpc-js";
import type { MezError } from "../errors/error.js";
import type { CallOptions, RpcMethod } from "../plugin/rpc.js";

/** What a call is made on. */
export interface OpenCall {
  readonly client: Client;
  readonly metadata: Metadata;
  /** What a failure of the transport or the server means to the caller. */
  readonly failure: (error: ServiceError) => MezError;
}

/** One request, one answer; for 20 seconds unless the options say otherwise. */
export function unaryCall(
  { client, metadata, failure }: OpenCall,
  method: RpcMethod<unknown, unknown>,
  request: unknown,
  options: CallOptions = {},
): Promise<unknown> {
  const deadline = new Date(Date.now() + (options.timeoutMs ?? CALL_TIMEOUT_MS));
  return new Promise((resolve, reject) => {
    const call = client.makeUnaryRequest(
      method.path,
      method.requestSerialize,
      method.responseDeserialize,
      request,
      metadata,
      { deadline },
      (error, response) => {
        unlisten();
        if (error !== null) reject(failure(error));
        else resolve(response);
      },
    );
    const unlisten = cancelOn(options.signal, call);
  });
}

/** One request, many answers. Whoever stops reading cancels the call. */
export async function* serverStreamCall(
  { client, metadata, failure }: OpenCall,
  method: RpcMethod<unknown, unknown>,
  request: unknown,
  options: CallOptions = {},
): AsyncGenerator<unknown, void> {
  const call: ClientReadableStream<unknown> = client.makeServerStreamRequest(
    method.path,
    method.requestSerialize,
    method.responseDeserialize,
    request,
    metadata,
    deadlineOf(options),
  );
  const unlisten = cancelOn(options.signal, call);
  try {
    yield* call as AsyncIterable<unknown>;
  } catch (error) {
    throw failure(error as ServiceError);
  } finally {
    unlisten();
    call.cancel();
  }
}

/** Many requests, one answer, which may come before all of them were read. */
export function clientStreamCall(
  { client, metadata, failure }: OpenCall,
  method: RpcMethod<unknown, unknown>,
  requests: AsyncIterable<unknown>,
  options: CallOptions = {},
): Promise<unknown> {
  const over = new AbortController();
  return new Promise((resolve, reject) => {
    const call = client.makeClientStreamRequest(
      method.path,
      method.requestSerialize,
      method.responseDeserialize,
      metadata,
      deadlineOf(options),
      (error, response) => {
        unlisten();
        over.abort();
        if (error !== null) reject(failure(error));
        else resolve(response);
      },
    );
    call.on("error", () => {});
    const unlisten = cancelOn(options.signal, call);
    feed(call, requests, over.signal).catch((error: unknown) => {
      call.cancel();
      reject(error);
    });
  });
}

// --- internal ---

const CALL_TIMEOUT_MS = 20_000;

function deadlineOf(options: CallOptions): { deadline?: Date } {
  return options.timeoutMs === undefined ? {} : { deadline: new Date(Date.now() + options.timeoutMs) };
}

/** @returns The way to stop listening. */
function cancelOn(signal: AbortSignal | undefined, call: { cancel(): void }): () => void {
  const cancel = (): void => call.cancel();
  signal?.addEventListener("abort", cancel);
  if (signal?.aborted === true) cancel();
  return () => signal?.removeEventListener("abort", cancel);
}

/** Writes all requests, or as many as are wanted. */
async function feed(call: Writable, requests: AsyncIterable<unknown>, over: AbortSignal): Promise<void> {
  for await (const request of requests) {
    if (over.aborted) return;
    if (!call.write(request)) await once(call, "drain", { signal: over }).catch(() => "the call is over");
    if (over.aborted) return;
  }
  call.end();
}
