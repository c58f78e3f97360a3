import assert from "node:assert/strict";
import { test } from "node:test";
import { CollectionRegistry, kindId } from "../events/collections.js";
import {
  type ChoiceSetting,
  CLUSTER_SETTINGS_COLLECTION,
  type DurationSetting,
  type SettingValue,
} from "../plugin/cluster-settings.js";
import { SettingsView } from "./settings-view.js";

const MODE: ChoiceSetting<"strict" | "best_effort"> = {
  key: "lock_mode",
  type: "choice",
  choices: ["strict", "best_effort"],
  default: "strict",
  description: "What happens in silence.",
};
const IDLE: DurationSetting = {
  key: "idle",
  type: "duration",
  minSeconds: 60,
  maxSeconds: 3600,
  zero: "off",
  default: 0,
  description: "When idle sessions end.",
};

test("a setting has its default until the copy says otherwise, and again when the entry is gone", () => {
  const { view, put } = open();
  assert.equal(view.get(MODE), "strict");
  put("lock_mode", "best_effort");
  assert.equal(view.get(MODE), "best_effort");
  put("lock_mode", undefined);
  assert.equal(view.get(MODE), "strict");
});

for (const [value, expected] of [
  [60, 60],
  [0, 0],
  [59, 0],
  [3601, 0],
  [90.5, 0],
  ["90", 0],
] as const) {
  test(`a duration of 1m to 1h or off takes ${JSON.stringify(value)} as ${expected}`, () => {
    const { view, put } = open();
    put("idle", value);
    assert.equal(view.get(IDLE), expected);
  });
}

test("a word that only a newer release knows counts as the default", () => {
  const { view, put } = open();
  put("lock_mode", "strictest");
  assert.equal(view.get(MODE), "strict");
});

test("tells of changes of one setting, once each, until stopped", () => {
  const { view, put } = open();
  const heard: string[] = [];
  const stop = view.onChange(MODE, (value) => void heard.push(value));
  put("idle", 90);
  put("lock_mode", "strict");
  put("lock_mode", "best_effort");
  put("lock_mode", "best_effort");
  put("lock_mode", undefined);
  stop();
  put("lock_mode", "best_effort");
  assert.deepEqual(heard, ["best_effort", "strict"]);
});

function open(): { readonly view: SettingsView; readonly put: (key: string, value: SettingValue | undefined) => void } {
  const registry = new CollectionRegistry();
  const kind = kindId(CLUSTER_SETTINGS_COLLECTION);
  return {
    view: new SettingsView(registry),
    put: (key, value) => registry.apply([value === undefined ? { kind, key } : { kind, key, value }]),
  };
}
