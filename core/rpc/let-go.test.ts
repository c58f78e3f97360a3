import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { test } from "node:test";
import {
  Client,
  credentials,
  Server,
  ServerCredentials,
  ServerInterceptingCall,
  type ServerInterceptor,
  type ServerUnaryCall,
} from "@grpc/grpc-js";
import { eventually } from "../../test/fixtures/eventually.js";
import { letGo } from "./let-go.js";

const PATH = "/echo/say";
const bytes = { serialize: (value: Buffer) => value, deserialize: (value: Buffer) => value };

test("takes a call apart when it is answered and its stream has closed, one of an interceptor too", async (t) => {
  const wrap: ServerInterceptor = (_method, call) => new ServerInterceptingCall(call);
  for (const interceptors of [[], [wrap]]) {
    const taken: ServerUnaryCall<Buffer, Buffer>[] = [];
    const server = new Server({ interceptors });
    t.after(() => server.forceShutdown());
    server.addService(
      {
        say: {
          ...{ path: PATH, requestStream: false, responseStream: false },
          ...{ requestSerialize: bytes.serialize, requestDeserialize: bytes.deserialize },
          ...{ responseSerialize: bytes.serialize, responseDeserialize: bytes.deserialize },
        },
      },
      {
        say: (call: ServerUnaryCall<Buffer, Buffer>, answer: (error: null, response: Buffer) => void) => {
          taken.push(call);
          call.on("cancelled", () => undefined);
          answer(null, call.request);
          letGo(call);
        },
      },
    );
    const port = await new Promise<number>((resolve, reject) =>
      server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
        error === null ? resolve(bound) : reject(error),
      ),
    );
    const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
    t.after(() => client.close());
    for (const text of ["one", "two"])
      assert.equal(String(await say(client, text)), text, "the answer is whole, and the connection goes on");
    await eventually(() => taken.every((call) => call.request === undefined));
    for (const call of taken) {
      assert.equal((call as unknown as { readonly call: unknown }).call, undefined);
      assert.deepEqual(call.eventNames(), ["error"]);
      assert.equal(call.emit("error", new Error("late")), true, "an error that comes later is nobody's");
    }
  }
});

test("leaves a call of another shape alone", () => {
  for (const shape of [{}, { request: 1 }, { request: 1, call: {} }, { request: 1, call: { stream: {} } }]) {
    const call = Object.assign(new EventEmitter(), shape);
    letGo(call);
    assert.deepEqual({ ...call, ...shape }, { ...call });
  }
});

// --- internal ---

function say(client: Client, text: string): Promise<Buffer | undefined> {
  return new Promise((resolve, reject) =>
    client.makeUnaryRequest(PATH, bytes.serialize, bytes.deserialize, Buffer.from(text), (error, answer) =>
      error === null ? resolve(answer) : reject(error),
    ),
  );
}
