import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { allowsValue, type ClusterSetting } from "../../core/plugin/cluster-settings.js";
import type { DeclaredSetting } from "../../core/ports/cluster-setting.js";

/**
 * What every filler of the port CLUSTER_SETTING must be.
 * @param name The name that the port is filled under.
 * @param declared With the config that is made of an empty one, and with any other.
 */
export function testClusterSetting(name: string, declared: () => DeclaredSetting | Promise<DeclaredSetting>): void {
  describe(`cluster setting ${name}`, () => {
    test("has the key that it is listed under, in snake case", async () => {
      const { setting } = await declared();
      assert.equal(setting.key, name);
      assert.match(setting.key, /^[a-z][a-z0-9]*(_[a-z0-9]+)*$/);
    });

    test("says in one line what it decides", async () => {
      const { description } = (await declared()).setting;
      assert.ok(description.length > 0 && description.length <= 200 && !/[\p{Cc}\p{Zl}\p{Zp}]/u.test(description), description);
    });

    test("has bounds that make sense, and a default within them", async () => {
      const { setting } = await declared();
      assert.equal(boundsOf(setting), null);
      assert.ok(allowsValue(setting, setting.default), `its default ${setting.default} is not allowed`);
    });

    test("is plain data, the same each time", async () => {
      const first = await declared();
      assert.deepEqual(structuredClone(first), JSON.parse(JSON.stringify(first)));
      assert.deepEqual(await declared(), first);
    });

    test("names the key of the config file that it has its value from, and that value is allowed", async () => {
      const { setting, file } = await declared();
      if (file === null) return;
      assert.match(file.key, /^[a-z][a-z0-9_.-]*\.[a-z0-9_]+$/);
      assert.ok(allowsValue(setting, file.value), `${file.key} is ${file.value}`);
    });
  });
}

// --- internal ---

/** What is wrong with them. */
function boundsOf(setting: ClusterSetting): string | null {
  switch (setting.type) {
    case "choice":
      if (setting.choices.length < 2) return "fewer than two choices";
      if (new Set(setting.choices).size < setting.choices.length) return "one choice twice";
      return setting.choices.every((choice) => /^[a-z][a-z0-9_-]*$/.test(choice)) ? null : "a choice that is no lower-case word";
    case "duration":
      return orderOf(setting.minSeconds, setting.maxSeconds, setting.zero);
    case "number":
      return orderOf(setting.min, setting.max, setting.zero);
  }
}

function orderOf(min: number, max: number, zero: string | undefined): string | null {
  if (!Number.isSafeInteger(min) || !Number.isSafeInteger(max)) return "a bound that is no whole number";
  if (min < 0 || min > max) return `bounds ${min} to ${max}`;
  return zero === undefined || (zero !== "" && min > 0) ? null : "a word for zero, where zero is a number like others";
}
