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

test("looks again at who was recognized when the request has come, and once at who was not", async () => {
  let [looks, isKnown] = [0, true];
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
  await admit();
  assert.equal(looks, 3, "a stream is looked at again");

  await admission.recognize(facts, metadata);
  isKnown = false;
  await assert.rejects(admit(), (error) => isMezError(error, "UNAUTHENTICATED"));
  assert.equal(looks, 5);
  assert.ok(!(await admission.recognize(facts, metadata)));
  await assert.rejects(admit(), (error) => isMezError(error, "UNAUTHENTICATED"));
  assert.equal(looks, 6, "what was refused is refused once");
});
