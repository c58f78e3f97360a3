import assert from "node:assert/strict";
import test from "node:test";
import { isMezError } from "../../core/errors/error.js";
import { expandLogin, parseLoginTemplate } from "./login-template.js";

const traits = {
  internal: { logins: ["deploy", "ubuntu"], empty: [], bad: ["-oProxyCommand=x", "a b", "x\u0000", "", "fine"] },
  external: { username: ["alice"], "https://idp.example/team": ["core"] },
};

const EXPANSIONS: readonly (readonly [text: string, logins: readonly string[]])[] = [
  ["ubuntu", ["ubuntu"]],
  ["DOMAIN\\alice", ["DOMAIN\\alice"]],
  ["host$", ["host$"]],
  ["{{internal.logins}}", ["deploy", "ubuntu"]],
  ["{{ internal.logins }}", ["deploy", "ubuntu"]],
  ["svc-{{external.username}}-ro", ["svc-alice-ro"]],
  ["{{external.https://idp.example/team}}", ["core"]],
  ["{{internal.unset}}", []],
  ["{{internal.empty}}", []],
  ["{{external.logins}}", []],
  ["{{internal.constructor}}", []],
  ["{{internal.bad}}", ["fine"]],
];

for (const [text, logins] of EXPANSIONS) {
  test(`${text} gives ${JSON.stringify(logins)}`, () => assert.deepEqual(expandLogin(parseLoginTemplate(text), traits), logins));
}

for (const text of [
  "",
  "*",
  "-root",
  "a b",
  "a,b",
  "x\n",
  "{{internal}}",
  "{{other.logins}}",
  "{{internal.logins}}{{internal.x}}",
  "{{internal.logins",
  "a{{internal.x}} b",
  "$x",
]) {
  test(`refuses ${JSON.stringify(text)}`, () => {
    assert.throws(
      () => parseLoginTemplate(text),
      (error) => isMezError(error, "INVALID_ARGUMENT"),
    );
  });
}
