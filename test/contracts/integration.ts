import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { isMezError } from "../../core/errors/error.js";
import { type Integration, type IntegrationRequest, parametersProblem, planProblem } from "../../core/ports/integration.js";

/** An integration under test. */
export interface IntegrationUnderTest {
  readonly integration: Integration;
  /** A request that it makes a plan for, with every parameter. */
  readonly good: IntegrationRequest;
  close(): Promise<void>;
}

/** What every filler of the port INTEGRATION must do. */
export function testIntegration(name: string, open: () => Promise<IntegrationUnderTest>): void {
  describe(`integration ${name}`, () => {
    let subject: IntegrationUnderTest;
    before(async () => {
      subject = await open();
    });
    after(() => subject?.close());

    const plan = (change: Partial<IntegrationRequest> = {}, signal = AbortSignal.timeout(60_000)) =>
      subject.integration.plan({ ...subject.good, ...change }, signal);

    test("says what it is and which parameters it takes", () => {
      const { summary, parameters } = subject.integration;
      assert.match(summary, /^[^\p{Cc}]{1,200}$/u);
      assert.equal(parametersProblem(parameters), null);
      assert.deepEqual(Object.keys(subject.good.parameters).sort(), Object.keys(parameters.properties).sort());
    });

    test("makes a plan of words and lines that a shell and an editor can show", async () => {
      const made = await plan();
      assert.equal(planProblem(made), null);
      assert.ok(made.steps.some(({ commands, documents }) => commands.length + documents.length > 0));
      const names = made.steps.flatMap(({ documents }) => documents.map((document) => document.name));
      assert.equal(new Set(names).size, names.length, "two documents have one name");
      assert.deepEqual(JSON.parse(JSON.stringify(made.target)), made.target);
    });

    test("makes the same plan of the same request, also of many at once", async () => {
      const plans = await Promise.all(Array.from({ length: 10 }, () => plan()));
      for (const made of plans) assert.deepEqual(made, plans[0]);
    });

    for (const value of [
      "",
      " ",
      "$(id)",
      "`id`",
      "'; id #",
      '"}]}',
      "a\nb",
      "\u001b[2J",
      "../../etc/passwd",
      "*",
      "${x}",
      "ü🔑",
    ]) {
      test(`takes the parameter ${JSON.stringify(value)} for nothing but a value`, async () => {
        for (const parameter of Object.keys(subject.good.parameters)) {
          const parameters = { ...subject.good.parameters, [parameter]: value };
          const made = await plan({ parameters }).catch((error: unknown) => {
            assert.ok(isMezError(error, "INVALID_ARGUMENT"), `${parameter}: ${String(error)}`);
            return null;
          });
          if (made === null) continue;
          assert.equal(planProblem(made), null, parameter);
          for (const { name: file, text } of made.steps.flatMap(({ documents }) => documents))
            if (file.endsWith(".json")) assert.doesNotThrow(() => JSON.parse(text), parameter);
        }
      });
    }

    test("says what is missing when the cluster names no issuer, or does without", async () => {
      const made = await plan({ cluster: { ...subject.good.cluster, issuer: null } }).catch((error: unknown) => {
        assert.ok(isMezError(error, "CONFLICT"), String(error));
        return null;
      });
      if (made !== null) assert.equal(planProblem(made), null);
    });

    test("does not wait for ever: a signal that is aborted ends it", async () => {
      const made = await plan({}, AbortSignal.abort()).catch((error: unknown) => {
        assert.ok(isMezError(error), String(error));
        return null;
      });
      if (made !== null) assert.equal(planProblem(made), null);
    });
  });
}
