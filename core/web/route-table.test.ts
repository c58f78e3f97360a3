import assert from "node:assert/strict";
import { test } from "node:test";
import type { WebRoute } from "../plugin/web.js";
import { jsonResponse } from "../plugin/web-response.js";
import { routeName, routeShape, WebRouteTable } from "./route-table.js";

const route = (method: WebRoute["method"], path: string): WebRoute => ({ method, path, access: "public" });
const table = new WebRouteTable(
  [
    route("GET", "/"),
    route("GET", "/things/:thing"),
    route("GET", "/things/new"),
    route("DELETE", "/things/:thing"),
    route("POST", "/:anything/new"),
  ].map((served) => ({ route: served, handler: async () => jsonResponse({}), lease: () => () => {} })),
);

for (const [method, segments, expected] of [
  ["GET", [], "GET /"],
  ["HEAD", ["things", "7"], "GET /things/:thing thing=7"],
  ["GET", ["things", "new"], "GET /things/new"],
  ["DELETE", ["things", "new"], "DELETE /things/:thing thing=new"],
  ["POST", ["things", "new"], "POST /:anything/new anything=things"],
  ["PUT", ["things", "new"], "DELETE,GET,POST"],
  ["GET", ["Things", "7"], ""],
  ["GET", ["things"], ""],
  ["GET", ["things", "7", "8"], ""],
] as const) {
  test(`${method} /${segments.join("/")} finds ${expected || "nothing"}`, () => {
    const found = table.find(method, segments);
    if (!("served" in found)) return assert.equal(found.join(), expected);
    const parameters = [...found.parameters].map(([name, value]) => ` ${name}=${value}`).join("");
    assert.equal(routeName(found.served.route) + parameters, expected);
  });
}

test("parameters' names make no other route", () => {
  assert.equal(routeShape(route("GET", "/a/:b/c")), routeShape(route("GET", "/a/:other/c")));
  assert.notEqual(routeShape(route("GET", "/a/:b/c")), routeShape(route("GET", "/a/b/c")));
});
