import assert from "node:assert/strict";
import { test } from "node:test";
import { DNS_TEMPLATE, PATH_TEMPLATE, renderTemplate, templateProblem } from "./template.js";

const VALUES = {
  node: { name: "web-01", labels: { env: "prod", "cost.center/id": "a_b", path: "a/b", dots: "..", empty: "" } },
  identityName: "web-01",
  workloadName: "payments",
};

for (const [text, path] of [
  ["/payments", "/payments"],
  ["/ns/{{node.labels.env}}/{{identity.name}}", "/ns/prod/web-01"],
  ["/{{ node.name }}-{{workload.name}}/v1.2", "/web-01-payments/v1.2"],
  ["/{{node.labels.cost.center/id}}", "/a_b"],
  ["/ns/{{node.labels.absent}}", null],
  ["/ns/{{node.labels.toString}}", null],
  ["/ns/{{node.labels.path}}", null],
  ["/ns/{{node.labels.dots}}", null],
  ["/ns/.{{node.labels.dots}}", null],
  ["/ns/{{node.labels.empty}}", null],
  ["/ns/x{{node.labels.empty}}", null],
] as const) {
  test(`the path ${text} is ${path ?? "nothing"} on this host`, () => {
    assert.equal(templateProblem(PATH_TEMPLATE, text), null);
    assert.equal(renderTemplate(PATH_TEMPLATE, text, VALUES), path);
  });
}

test("names nothing of a node where there is none", () => {
  assert.equal(renderTemplate(PATH_TEMPLATE, "/{{node.name}}", { ...VALUES, node: null }), null);
  assert.equal(renderTemplate(PATH_TEMPLATE, "/{{identity.name}}", { ...VALUES, node: null }), "/web-01");
});

for (const text of [
  "",
  "/",
  "payments",
  "/payments/",
  "//payments",
  "/a/../b",
  "/a/.",
  "/a b",
  "/ä",
  "/a%20",
  "spiffe://prod/a",
  "/{{node.labels}}",
  "/{{user.name}}",
  "/{{node.name}",
  "/{{{node.name}}}",
  `/${"a".repeat(1024)}`,
]) {
  test(`refuses the path ${JSON.stringify(text.slice(0, 20))}`, () => assert.ok(templateProblem(PATH_TEMPLATE, text)));
}

test("fills in DNS names, and never two of them", () => {
  assert.equal(renderTemplate(DNS_TEMPLATE, "{{node.name}}.internal", VALUES), "web-01.internal");
  for (const text of ["a..b", "-a", "a b", "*.internal", "a/b"]) assert.ok(templateProblem(DNS_TEMPLATE, text), text);
  assert.equal(renderTemplate(DNS_TEMPLATE, "a{{node.labels.dots}}b", VALUES), null);
});
