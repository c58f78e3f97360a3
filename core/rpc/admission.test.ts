import assert from "node:assert/strict";
import { test } from "node:test";
import { Metadata } from "@grpc/grpc-js";
import { silentLogger } from "../../test/fixtures/silent-logger.js";
import { isMezError, MezError } from "../errors/error.js";
import { systemClock } from "../time/clock.js";
import { Admission } from "./admission.js";
import type { CallRoute } from "./call-route.js";
import { AnonymousCallLimiter } from "./interceptors/limit.js";
import type { ConnectionFacts } from "./listener.js";

test("takes up who was recognized, once, and looks again when the request was held back", async (t) => {
  let [looks, isKnown, now] = [0, true, 0];
  t.mock.method(performance, "now", () => now);
  const admission = new Admission({
    authenticators: () => [
      {
        authenticate: async () => {
          looks += 1;
          if (!isKnown) throw new MezError("UNAUTHENTICATED", "the session has ended");
          return {
            kind: "agent",
            id: "0",
            name: "web-01",
            role: "node",
            certificateSerial: "1",
            certificateExpiresAt: new Date(),
          };
        },
      },
    ],
    authorizer: () => ({ refusal: () => null }),
    anonymousCalls: new AnonymousCallLimiter({ burst: 1, perSecond: 1 }, systemClock),
    audit: () => undefined,
    logger: silentLogger,
  });
  const facts = { address: "192.0.2.1", clientCertificate: null } as unknown as ConnectionFacts;
  const route = { permission: "echo:use", holders: [] } as unknown as CallRoute;
  const metadata = new Metadata();
  metadata.set("authorization", "Bearer token");
  const admit = () => admission.admit({ path: "/x", route, facts, metadata, signal: new AbortController().signal });
  assert.ok(await admission.recognize(facts, metadata));
  await admit();
  assert.equal(looks, 1);
  await admit();
  assert.equal(looks, 2, "a stream that is looked at again");

  await admission.recognize(facts, metadata);
  isKnown = false;
  now = 1_000;
  await assert.rejects(admit(), (error) => isMezError(error, "UNAUTHENTICATED"));
  assert.equal(looks, 4);
  assert.ok(!(await admission.recognize(facts, metadata)));
  await assert.rejects(admit(), (error) => isMezError(error, "UNAUTHENTICATED"));
  assert.equal(looks, 5, "what was refused is refused once");
});
