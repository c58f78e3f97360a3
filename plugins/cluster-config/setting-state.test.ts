import assert from "node:assert/strict";
import { test } from "node:test";
import { isMezError } from "../../core/errors/error.js";
import type { DurationSetting } from "../../core/plugin/cluster-settings.js";
import { requireAllowedFile } from "./setting-state.js";

const IDLE: DurationSetting = {
  key: "idle",
  type: "duration",
  minSeconds: 60,
  maxSeconds: 3600,
  zero: "off",
  default: 0,
  description: "",
};

test("a value of the file that the setting does not allow is refused with what would be right", () => {
  const at = (value: number) => () => requireAllowedFile({ setting: IDLE, file: { key: "plugins.x.config.idle", value } });
  for (const value of [0, 60, 3600]) assert.doesNotThrow(at(value));
  assert.doesNotThrow(() => requireAllowedFile({ setting: IDLE, file: null }));
  assert.throws(
    at(5),
    (error) =>
      isMezError(error, "CONFIG_INVALID") &&
      error.message === "plugins.x.config.idle is 5s; use off, or a duration from 1m to 1h",
  );
});
