import assert from "node:assert/strict";
import { test } from "node:test";
import { manifestOf } from "../../test/fixtures/plugins.js";
import { isMezError } from "../errors/error.js";
import type { Manifest } from "../plugin/manifest.js";
import { orderPlugins } from "./graph.js";

const NODE = new Set(["node"] as const);
const PORTS = new Map([
  ["one", "exactly-one"],
  ["some", "at-least-one"],
  ["any", "zero-or-more"],
] as const);
const service = (name: string) => ({ service: name, version: 1 });

test("starts providers before those who require them, and keeps the given order otherwise", () => {
  const manifests = [
    manifestOf("c", { requires: [service("a"), service("b")] }),
    manifestOf("b", { provides: [service("b")], requires: [service("a")] }),
    manifestOf("z"),
    manifestOf("a", { provides: [service("a")] }),
  ];
  assert.deepEqual(orderPlugins(manifests, NODE, PORTS).order, ["a", "b", "c", "z"]);
});

test("starts every implementation of a port before the plugin that requires the port", () => {
  const manifests = [
    manifestOf("user", { requires: [service("some")] }),
    manifestOf("first", { implements: [{ port: "some", name: "first" }] }),
    manifestOf("second", { implements: [{ port: "some", name: "second" }] }),
  ];
  const graph = orderPlugins(manifests, NODE, PORTS);
  assert.deepEqual(graph.order, ["first", "second", "user"]);
  assert.deepEqual(graph.requires.get("user"), ["first", "second"]);
});

test("leaves out what belongs to another role", () => {
  const manifests = [manifestOf("a", { requires: [{ ...service("only-auth"), runsIn: ["auth"] }] })];
  assert.deepEqual(orderPlugins(manifests, NODE, PORTS).order, ["a"]);
});

test("goes on without an optional service", () => {
  assert.deepEqual(orderPlugins([manifestOf("a", { requires: [{ ...service("x"), optional: true }] })], NODE, PORTS).order, [
    "a",
  ]);
});

test("a late service binds nobody, whether it is there or not", () => {
  const manifests = [
    manifestOf("a", {
      requires: [
        { ...service("x"), late: true },
        { ...service("y"), late: true },
      ],
    }),
    manifestOf("b", { provides: [service("x")], requires: [service("a")] }),
    manifestOf("c", { provides: [service("a")] }),
  ];
  const graph = orderPlugins(manifests, NODE, PORTS);
  assert.deepEqual([graph.order, graph.requires.get("a")], [["c", "b", "a"], []]);
});

test("starts what is looked up late before who looks it up, unless that requires it", () => {
  const manifests = [
    manifestOf("a", { provides: [service("a")], requires: [{ ...service("b"), late: true }] }),
    manifestOf("b", { provides: [service("b")], requires: [service("c")] }),
    manifestOf("c", { provides: [service("c")], requires: [{ ...service("a"), late: true }] }),
  ];
  const graph = orderPlugins(manifests, NODE, PORTS);
  assert.deepEqual([graph.order, graph.requires.get("a")], [["c", "b", "a"], []]);
});

test("orders plugins of which each layer requires all of the one before", () => {
  const layers = Array.from({ length: 40 }, (_, layer) => [`left-${layer}`, `right-${layer}`]);
  const manifests = layers.flatMap((names, layer) =>
    names.map((name) => manifestOf(name, { provides: [service(name)], requires: (layers[layer - 1] ?? []).map(service) })),
  );
  const top = manifestOf("top", { requires: [{ ...service("right-39"), late: true }] });
  assert.deepEqual(orderPlugins([top, ...manifests], NODE, PORTS).order.slice(-3), ["right-39", "top", "left-39"]);
});

test("starts what fills a port before who looks it up late, and binds nobody by it", () => {
  const manifests = [
    manifestOf("a", { provides: [service("a")], requires: [{ ...service("any"), late: true }] }),
    manifestOf("b", { implements: [{ port: "any", name: "b" }] }),
    manifestOf("c", { implements: [{ port: "any", name: "c" }], requires: [service("a")] }),
  ];
  const graph = orderPlugins(manifests, NODE, PORTS);
  assert.deepEqual([graph.order, graph.requires.get("a")], [["b", "a", "c"], []]);
});

const BROKEN: readonly (readonly [name: string, manifests: readonly Manifest[], message: RegExp])[] = [
  [
    "a missing provider",
    [manifestOf("a", { requires: [service("x")] })],
    /"a" requires service "x" version 1, which no enabled plugin provides/,
  ],
  [
    "another version",
    [manifestOf("a", { requires: [{ service: "x", version: 2 }] }), manifestOf("b", { provides: [service("x")] })],
    /version 2/,
  ],
  [
    "two providers",
    [manifestOf("a", { provides: [service("x")] }), manifestOf("b", { provides: [service("x")] })],
    /both "a" and "b"/,
  ],
  [
    "a circle",
    [
      manifestOf("a", { provides: [service("a")], requires: [service("b")] }),
      manifestOf("b", { provides: [service("b")], requires: [service("a")] }),
    ],
    /a -> b -> a/,
  ],
  [
    "an exactly-one port that is filled twice",
    [
      manifestOf("a", { implements: [{ port: "one", name: "a" }] }),
      manifestOf("b", { implements: [{ port: "one", name: "b" }] }),
    ],
    /takes one plugin; "a" and "b"/,
  ],
  [
    "a required port that nobody fills",
    [manifestOf("a", { requires: [service("some")] })],
    /port "some", which no enabled plugin fills/,
  ],
  ["an unknown port", [manifestOf("a", { implements: [{ port: "teapot", name: "a" }] })], /unknown port "teapot"/],
];

for (const [name, manifests, message] of BROKEN) {
  test(`refuses ${name}`, () => {
    assert.throws(
      () => orderPlugins(manifests, NODE, PORTS),
      (error) => isMezError(error, "PLUGIN_GRAPH_INVALID") && message.test(error.message),
    );
  });
}
