import assert from "node:assert/strict";
import test from "node:test";
import { isMezError } from "../errors/error.js";
import { parseCheckedYaml, parseLocatedYaml } from "./checked-yaml.js";

const schema = {
  type: "object",
  additionalProperties: false,
  required: ["name"],
  properties: {
    name: { type: "string", pattern: "^[a-z]+$", description: "Use lower-case letters." },
    size: { type: "integer", minimum: 1, default: 3 },
    mode: { enum: ["", "optional", "required"] },
    password: { type: "string", pattern: "^file:" },
    allow: {
      type: "object",
      additionalProperties: false,
      properties: { logins: { type: "array", minItems: 1, items: { type: "string" } } },
    },
    either: {
      anyOf: [{ type: "string" }, { type: "array", items: { type: "string" } }],
      description: "Write text or a list of texts.",
    },
  },
} as const;
const options = { file: "x.yaml", schema, what: "sample" };

test("gives the value, with the schema's defaults, from YAML and from JSON", async () => {
  assert.deepEqual(await parseCheckedYaml("name: a\nallow: { logins: [b] }\n", options), {
    name: "a",
    allow: { logins: ["b"] },
    size: 3,
  });
  assert.deepEqual(await parseCheckedYaml('{"name":"a"}', options), { name: "a", size: 3 });
});

const REFUSED: readonly (readonly [text: string, message: string | RegExp])[] = [
  ["", "x.yaml: is empty; it has to hold a sample"],
  ["# only a comment\n", "x.yaml: is empty; it has to hold a sample"],
  ["- a\n", "x.yaml:1: the sample has to be a mapping, not a list"],
  ["size: 1\n", 'x.yaml:1: key "name" is missing'],
  ["name: a\nallow:\n  login: [b]\n", 'x.yaml:3: unknown key "login" under allow; did you mean "logins"?'],
  ["name: a\nzzzzzzzz: 1\n", 'x.yaml:2: unknown key "zzzzzzzz"; known are name, size, mode, password, allow, either'],
  [
    "name: a\nallow:\n  logins:\n    - b\n    - 17\n",
    'x.yaml:5: allow.logins[1] has to be text, not a number; write it in quotes: "17"',
  ],
  ["name: a\nallow: { logins: [] }\n", "x.yaml:2: allow.logins is empty"],
  ["name: A1\n", 'x.yaml:1: name is "A1", which is not valid; use lower-case letters'],
  ["name: a\nsize: 0\n", "x.yaml:2: size is 0; it has to be >= 1"],
  ["name: a\nmode: requird\n", 'x.yaml:2: mode is "requird"; did you mean "required"?'],
  ["name: a\npassword: hunter2\n", "x.yaml:2: password is what it is, which is not valid"],
  ["name: a\neither: 1\n", "x.yaml:2: either is 1, which is not valid; write text or a list of texts"],
  ["name: a\nsize: x\nmode: y\n", /^x\.yaml:2: size has to be a whole number, not text \(and 1 more\)$/],
  ["name: a\nname: b\n", /^x\.yaml:2: map keys must be unique/],
  ["name: [a\n", /^x\.yaml:\d: /],
  ["name: a\n---\nname: b\n", /^x\.yaml:\d: a second document begins here; a file holds one sample$/],
  ["name: !!js/function x\n", /^x\.yaml:1: /],
  [
    `a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b]\nd: [*c,*c,*c,*c,*c,*c,*c]\n`,
    /anchors and aliases/,
  ],
  ["x".repeat(1_048_577), "x.yaml: larger than 1048576 characters"],
];

for (const [text, message] of REFUSED) {
  test(`refuses ${JSON.stringify(text.slice(0, 50))} and says why`, async () => {
    await assert.rejects(parseCheckedYaml(text, options), (error) => {
      assert.ok(isMezError(error, "INVALID_DOCUMENT"));
      if (typeof message === "string") assert.equal(error.message, message);
      else assert.match(error.message, message);
      return true;
    });
  });
}

test("names standard input and gives line and column as fields", async () => {
  await assert.rejects(parseCheckedYaml("name: a\nallow: { login: [b] }\n", { ...options, file: "-" }), (error) => {
    assert.ok(isMezError(error));
    assert.match(error.message, /^standard input:2: /);
    assert.deepEqual(error.fields, { file: "standard input", line: 2, column: 10 });
    return true;
  });
});

test("a caller's own checks point at the line as well", async () => {
  const located = await parseLocatedYaml("name: a\nallow:\n  logins:\n    - b\n", options);
  assert.equal(located.problem(["allow", "logins", 0], "b is not welcome").message, "x.yaml:4: b is not welcome");
  assert.equal(located.problem(["allow", "absent", "x"], "absent").message, "x.yaml:2: absent");
});
