import type { EventEmitter } from "node:events";

/**
 * Takes apart what gRPC made for a call with one request and one answer, when its stream has closed; nobody needs it then. To be
 * called when the handler has answered.
 *
 * In Node 24 each writable stream keeps itself until V8 looks through its old objects (the closure that is the `onwrite` of its state is
 * assigned to a property, and V8 makes such closures among the old objects). All that hangs on the streams of a call would be kept, get
 * old and be looked through with the rest: the request, the answer, and whom they went to.
 * @param call As grpc-js 1.14.7 gives it to a handler; another release's is left as it is.
 */
export function letGo(call: EventEmitter): void {
  if (!isOurs(call)) return;
  const stream = streamOf(call.call);
  if (stream === null) return;
  if (stream.destroyed) setImmediate(takeApart, call, stream);
  else stream.once("close", () => setImmediate(takeApart, call, stream));
}

// --- internal ---

/** Of which only these are kept by anybody. */
interface HandledCall extends EventEmitter {
  call: object | undefined;
  request: unknown;
}

type ClosingStream = EventEmitter & { readonly destroyed: boolean };

function isOurs(call: EventEmitter): call is HandledCall & { readonly call: object } {
  return "request" in call && "call" in call && typeof call.call === "object" && call.call !== null;
}

/** That of HTTP/2, below those that interceptors have wrapped around it. */
function streamOf(call: object): ClosingStream | null {
  const { nextCall, stream } = call as { readonly nextCall?: object; readonly stream?: Partial<ClosingStream> };
  if (nextCall !== undefined) return streamOf(nextCall);
  return typeof stream?.destroyed === "boolean" ? (stream as ClosingStream) : null;
}

function takeApart(call: HandledCall, stream: ClosingStream): void {
  call.request = undefined;
  call.call = undefined;
  // An error without a listener would end the process.
  for (const emitter of [call, stream]) emitter.removeAllListeners().on("error", nobodyListens);
}

function nobodyListens(): void {}
