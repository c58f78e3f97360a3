import assert from "node:assert/strict";
import { test } from "node:test";
import { html } from "./html.js";

test("escapes what comes from outside, between tags and in attributes", () => {
  const evil = `"><script>alert('x')</script>&\``;
  const escaped = "&quot;&gt;&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;&#96;";
  assert.equal(html`<p title="${evil}">${evil}</p>`.text, `<p title="${escaped}">${escaped}</p>`);
});

test("takes pieces and lists of pieces as they are, and leaves out what is not there", () => {
  const items = ["<a>", "b"].map((item) => html`<li>${item}</li>`);
  assert.equal(html`<ul>${items}${null}${undefined}${false}${0}</ul>`.text, "<ul><li>&lt;a&gt;</li><li>b</li>0</ul>");
});

test("does not take an object that only looks like a piece", () => {
  const forged = { text: "<script>", toString: () => "<script>" } as unknown as string;
  assert.equal(html`${forged}`.text, "&lt;script&gt;");
});
