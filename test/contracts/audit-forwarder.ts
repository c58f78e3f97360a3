import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, describe, test } from "node:test";
import { isMezError } from "../../core/errors/error.js";
import type { AuditForwarder, ForwardedEvent } from "../../core/ports/audit-forwarder.js";
import { eventually } from "../fixtures/eventually.js";

/** A forwarder under test, with whoever receives what it delivers. */
export interface AuditForwarderUnderTest {
  readonly forwarder: AuditForwarder;
  /** The events that the receiver has, each parsed from what it understood, in its order. */
  received(): readonly unknown[];
  /** Nothing can be delivered from now on. */
  away(): Promise<void>;
  /** It can be again. */
  back(): Promise<void>;
  close(): Promise<void>;
}

/** What every filler of the port AUDIT_FORWARDER must do. */
export function testAuditForwarder(
  name: string,
  open: () => Promise<AuditForwarderUnderTest>,
  { skip = false }: { readonly skip?: string | false } = {},
): void {
  describe(`audit forwarder: ${name}`, { skip }, () => {
    let subject: AuditForwarderUnderTest;
    let seq = 0;
    before(async () => {
      subject = await open();
    });
    after(() => subject?.close());

    /** Events that were not there before, as they are delivered. */
    const events = (count: number, more: object = {}): readonly ForwardedEvent[] =>
      Array.from({ length: count }, () => {
        seq += 1;
        const id = randomUUID();
        const json = JSON.stringify({ seq, id, event_type: "user.login", ...more });
        return { seq, id, type: "user.login", code: "MZ1000", timestamp: new Date(1_800_000_000_000 + seq), success: true, json };
      });
    const deliver = (batch: readonly ForwardedEvent[], signal = AbortSignal.timeout(60_000)) =>
      subject.forwarder.deliver(batch, signal);
    const parsed = (batch: readonly ForwardedEvent[]): readonly unknown[] => batch.map(({ json }) => JSON.parse(json) as unknown);
    const has = ({ id }: ForwardedEvent): boolean => subject.received().some((event) => (event as { id?: unknown }).id === id);

    test("delivers every event, whole and in order", async () => {
      const batches = [events(1), events(150), events(3)];
      for (const batch of batches) await deliver(batch);
      const sent = parsed(batches.flat());
      await eventually(() => subject.received().length >= sent.length);
      assert.deepEqual(subject.received(), sent);
    });

    test("delivers nothing when there is nothing", async () => {
      const count = subject.received().length;
      await deliver([]);
      const [event] = events(1) as [ForwardedEvent];
      await deliver([event]);
      await eventually(() => has(event));
      assert.equal(subject.received().length, count + 1);
    });

    test("no text of an event makes two of it, or another one", async () => {
      const count = subject.received().length;
      const texts = [
        '"\\ \n\r\t\0',
        "<13>1 2026-01-01T00:00:00Z a b c - - x",
        "\u2028\u2029\u0085",
        "jürgen 🔑 日本",
        "%s%n{}[]",
      ];
      const batch = texts.flatMap((text) => events(1, { error_message: text, metadata: { [text]: text } }));
      await deliver(batch);
      await eventually(() => subject.received().length >= count + batch.length);
      assert.deepEqual(subject.received().slice(count), parsed(batch));
    });

    test("takes as much at once as is ever given to it", async () => {
      const count = subject.received().length;
      const batch = events(200, { metadata: { command: "x".repeat(2_300) } });
      await deliver(batch);
      await eventually(() => subject.received().length >= count + 200);
      assert.deepEqual(subject.received().slice(count), parsed(batch));
    });

    test("does not wait for ever: a signal that is aborted ends the delivery", async () => {
      const [event] = events(1) as [ForwardedEvent];
      const isTaken = await deliver([event], AbortSignal.abort()).then(
        () => true,
        () => false,
      );
      if (isTaken) await eventually(() => has(event));
      const [next] = events(1) as [ForwardedEvent];
      await eventually(() => deliver([next]).then(() => true));
      await eventually(() => has(next));
    });

    test("says when nothing can be delivered, and goes on when it can", async () => {
      await subject.away();
      // Where nobody answers, the first one may seem to get through.
      const refusal = await eventually(() =>
        deliver(events(1)).then(
          () => null,
          (error: unknown) => error,
        ),
      );
      assert.ok(isMezError(refusal) && ["unavailable", "environment"].includes(refusal.kind), String(refusal));
      await subject.back();
      const [event] = events(1) as [ForwardedEvent];
      await eventually(() => deliver([event]).then(() => true));
      await eventually(() => has(event));
    });
  });
}
