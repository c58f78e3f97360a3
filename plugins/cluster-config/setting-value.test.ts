import assert from "node:assert/strict";
import { test } from "node:test";
import { isMezError } from "../../core/errors/error.js";
import type { ChoiceSetting, ClusterSetting, DurationSetting, NumberSetting } from "../../core/plugin/cluster-settings.js";
import { acceptedBy, formatSettingValue, parseSettingValue } from "./setting-value.js";

const MODE: ChoiceSetting = { key: "mode", type: "choice", choices: ["node", "proxy", "off"], default: "node", description: "" };
const IDLE: DurationSetting = {
  key: "idle",
  type: "duration",
  minSeconds: 60,
  maxSeconds: 604_800,
  zero: "off",
  default: 0,
  description: "",
};
const TTL: DurationSetting = { key: "ttl", type: "duration", minSeconds: 1, maxSeconds: 86_400, default: 60, description: "" };
const COUNT: NumberSetting = { key: "count", type: "number", min: 1, max: 20, zero: "no limit", default: 1, description: "" };

for (const [setting, text, value, written] of [
  [MODE, "proxy", "proxy", "proxy"],
  [MODE, " off\n", "off", "off"],
  [IDLE, "90m", 5400, "1h30m"],
  [IDLE, "60s", 60, "1m"],
  [IDLE, "off", 0, "off"],
  [IDLE, "0", 0, "off"],
  [IDLE, "0s", 0, "off"],
  [COUNT, "20", 20, "20"],
  [COUNT, "007", 7, "7"],
  [COUNT, "no limit", 0, "no limit"],
  [COUNT, "0", 0, "no limit"],
] as const satisfies readonly (readonly [ClusterSetting, string, string | number, string])[]) {
  test(`${setting.key}: ${JSON.stringify(text)} is ${JSON.stringify(value)}, written ${written}`, () => {
    assert.equal(parseSettingValue(setting, text), value);
    assert.equal(formatSettingValue(setting, value), written);
    assert.equal(parseSettingValue(setting, written), value);
  });
}

for (const [setting, text, message] of [
  [MODE, "proxi", 'mode cannot be "proxi"; use node, proxy or off; did you mean "proxy"?'],
  [MODE, "", 'mode cannot be ""; use node, proxy or off'],
  [MODE, "__proto__", 'mode cannot be "__proto__"; use node, proxy or off'],
  [IDLE, "59s", 'idle cannot be "59s"; use off, or a duration from 1m to 7d'],
  [IDLE, "8d", 'idle cannot be "8d"; use off, or a duration from 1m to 7d'],
  [IDLE, "15", 'idle cannot be "15"; use off, or a duration from 1m to 7d'],
  [IDLE, "-1m", 'idle cannot be "-1m"; use off, or a duration from 1m to 7d'],
  [TTL, "0s", 'ttl cannot be "0s"; use a duration from 1s to 1d'],
  [COUNT, "21", 'count cannot be "21"; use no limit, or a whole number from 1 to 20'],
  [COUNT, "1.5", 'count cannot be "1.5"; use no limit, or a whole number from 1 to 20'],
  [COUNT, "1e1", 'count cannot be "1e1"; use no limit, or a whole number from 1 to 20'],
  [COUNT, "\u001b[2J", 'count cannot be "?[2J"; use no limit, or a whole number from 1 to 20'],
] as const satisfies readonly (readonly [ClusterSetting, string, string])[]) {
  test(`${setting.key} refuses ${JSON.stringify(text)} and says what would be right`, () => {
    assert.throws(
      () => parseSettingValue(setting, text),
      (error) => isMezError(error, "INVALID_ARGUMENT") && error.message === message,
    );
  });
}

test("what a value may be is a sentence", () => {
  assert.equal(acceptedBy(MODE), "node, proxy or off");
  assert.equal(acceptedBy(TTL), "a duration from 1s to 1d");
});
