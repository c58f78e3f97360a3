import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { userInfo } from "node:os";
import { test } from "node:test";
import { accountName, requireAccountName } from "./account-name.js";

test("the account has a name", () => {
  assert.equal(accountName(), userInfo().username);
  assert.equal(requireAccountName(), userInfo().username);
});

test("an account of a container may have none: then it is missed only where it is needed", () => {
  const code = `
    process.getuid = () => 65532;
    const os = (await import("node:os")).default;
    os.userInfo = () => { throw Object.assign(new Error("no entry"), { code: "ERR_SYSTEM_ERROR" }); };
    (await import("node:module")).syncBuiltinESMExports();
    const { accountName, requireAccountName } = await import(${JSON.stringify(new URL("./account-name.js", import.meta.url).href)});
    console.log(accountName());
    try { requireAccountName("--user"); } catch ({ code, message }) { console.log(code, message); }`;
  const { stdout, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", code], { encoding: "utf8" });
  assert.deepEqual([stdout, stderr], ["null\nINVALID_ARGUMENT user 65532 of this machine has no name; give --user\n", ""]);
});
