import assert from "node:assert/strict";
import { test } from "node:test";
import { Metadata, type ServerInterceptingCallInterface } from "@grpc/grpc-js";
import { limitMessages, MAX_MESSAGE_BYTES, MAX_STRANGERS_MESSAGE_BYTES } from "./message-limit.js";

test("raises the limit of a machine's call, and of one that has brought good credentials, and of no other", async () => {
  for (const [isMachine, isKnown, bytes] of [
    [true, false, MAX_MESSAGE_BYTES],
    [false, true, MAX_MESSAGE_BYTES],
    [false, false, MAX_STRANGERS_MESSAGE_BYTES],
  ] as const) {
    const call = new FakeCall();
    await call.receive(isMachine, isKnown);
    assert.deepEqual([call.maxReceiveMessageSize, call.decoder.maxReadMessageLength], [bytes, bytes]);
  }
});

test("a call that keeps its limits elsewhere goes on with that of strangers", async () => {
  const call = new FakeCall();
  Object.assign(call, { decoder: undefined });
  await call.receive(true, false);
  await call.receive(false, true);
  assert.equal(call.maxReceiveMessageSize, MAX_STRANGERS_MESSAGE_BYTES);
});

// --- internal ---

class FakeCall {
  maxReceiveMessageSize = MAX_STRANGERS_MESSAGE_BYTES;
  readonly decoder = { maxReadMessageLength: MAX_STRANGERS_MESSAGE_BYTES };
  #onMetadata: (metadata: Metadata) => void = () => undefined;

  getPeer(): string {
    return "127.0.0.1:1";
  }

  start(listener: { onReceiveMetadata: (metadata: Metadata) => void }): void {
    this.#onMetadata = (metadata) => listener.onReceiveMetadata(metadata);
  }

  /** As it comes to the server: resolves when the handler would be told of it. */
  async receive(isMachine: boolean, isKnown: boolean): Promise<void> {
    const interceptor = limitMessages(
      () => isMachine,
      async () => isKnown,
    );
    const definition = { path: "/a/b", requestStream: false, responseStream: false } as never;
    const taken = interceptor(definition, this as unknown as ServerInterceptingCallInterface);
    if (isMachine) return;
    await new Promise<void>((resolve) => {
      taken.start({ onReceiveMetadata: () => resolve(), onReceiveMessage() {}, onReceiveHalfClose() {}, onCancel() {} });
      this.#onMetadata(new Metadata());
    });
  }
}
