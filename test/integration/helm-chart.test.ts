import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { after, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { parse, parseAllDocuments } from "yaml";
import type { CommandContext } from "../../core/plugin/commands.js";
import { checkConfig } from "../../daemons/check-config.js";
import { projectFile } from "../fixtures/project-file.js";
import { needsPeers, requirePeer } from "../peers/require-peer.js";

const CHART = fileURLToPath(projectFile("config/helm/mezite"));
const POSTGRES = ["database.driver=postgres", "database.host=db", "database.existingSecret=db"];
const folder = mkdtempSync(join(tmpdir(), "mezite-helm-"));
after(() => rmSync(folder, { recursive: true, force: true }));

test("the chart is of this release", () => {
  const { version } = JSON.parse(readFileSync(projectFile("package.json"), "utf8")) as { readonly version: string };
  const chart = parse(readFileSync(join(CHART, "Chart.yaml"), "utf8")) as Readonly<Record<string, string>>;
  assert.deepEqual([chart.version, chart.appVersion], [version, version]);
});

describe("the Helm chart", needsPeers("helm", "kubernetes-types"), () => {
  const sets = readdirSync(join(CHART, "ci")).map((name) => ({
    set: basename(name, "-values.yaml"),
    file: join(CHART, "ci", name),
  }));
  const rendered = new Map(sets.map(({ set, file }) => [set, render(["--values", file])]));
  const objects = (set: string): readonly KubernetesObject[] => {
    const { status, stdout, stderr } = rendered.get(set) as Rendering;
    assert.equal(status, 0, stderr);
    return parseAllDocuments(stdout).map((document) => document.toJS({ maxAliasCount: 0 }) as KubernetesObject);
  };

  for (const { set, file } of sets) {
    test(`passes helm's own checks with the values ${set}`, () => {
      const { status, stdout, stderr } = helm(["lint", "--strict", "--quiet", CHART, "--values", file]);
      assert.deepEqual([status, stdout.trim() + stderr], [0, ""]);
    });

    test(`makes objects that Kubernetes knows, with the values ${set}`, () => {
      assert.equal(complaints(objects(set)), "");
    });

    test(`writes configurations that mezd takes, with the values ${set}`, async () => {
      const maps = objects(set).filter(({ kind }) => kind === "ConfigMap");
      assert.ok(maps.length > 0);
      for (const { metadata, data } of maps)
        assert.match(await checked(metadata.name, data?.["mezite.yaml"] ?? ""), /^cluster {2}mezite$/m);
    });

    test(`lets no pod do more than it has to, with the values ${set}`, () => {
      for (const { metadata, spec } of objects(set).filter(isWorkload)) {
        const pod = spec.template.spec;
        const isNode = metadata.name.endsWith("-node");
        assert.deepEqual([pod.automountServiceAccountToken, pod.enableServiceLinks], [false, false]);
        assert.deepEqual(
          [pod.securityContext.runAsNonRoot, pod.securityContext.runAsUser],
          isNode ? [undefined, 0] : [true, 65532],
        );
        assert.equal(pod.securityContext.seccompProfile.type, "RuntimeDefault");
        for (const { name, securityContext, resources, env = [] } of [...pod.initContainers, ...pod.containers]) {
          const { capabilities, ...rest } = securityContext;
          assert.deepEqual(rest, { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true });
          assert.deepEqual(capabilities.drop, ["ALL"]);
          if (name !== "node") assert.equal(capabilities.add, undefined);
          assert.ok(resources.limits.memory && resources.requests.cpu);
          for (const { value } of env) assert.equal(value, undefined, "values of variables come from secrets and from the pod");
        }
      }
    });

    test(`leads services, budgets and policies to pods and to ports of theirs, with the values ${set}`, () => {
      const all = objects(set);
      const pods = all.filter(isWorkload).map(({ spec: { template } }) => ({
        labels: template.metadata.labels,
        ports: template.spec.containers.flatMap(({ ports = [] }) => ports.map(({ name }) => name)),
      }));
      const selected = (selector: Labels) => {
        const { "statefulset.kubernetes.io/pod-name": _, ...labels } = selector;
        const found = pods.filter((pod) => Object.entries(labels).every(([key, value]) => pod.labels[key] === value));
        assert.equal(found.length, 1, JSON.stringify(selector));
        return found[0] as (typeof pods)[number];
      };
      for (const { kind, spec } of all) {
        if (kind === "Service")
          for (const { targetPort } of spec.ports ?? []) assert.ok(selected(spec.selector as Labels).ports.includes(targetPort));
        if (kind === "PodDisruptionBudget") selected(spec.selector.matchLabels as Labels);
        if (kind !== "NetworkPolicy") continue;
        const open = (spec.ingress ?? []).flatMap(({ ports }) => ports.map(({ port }) => port));
        assert.deepEqual(open.sort(), [...selected(spec.podSelector.matchLabels).ports].sort());
      }
      const guarded = all.filter(({ kind }) => kind === "NetworkPolicy").length;
      assert.equal(guarded, pods.length);
    });
  }

  test("names whom it knows only by the names in their certificates", () => {
    const configs = new Map(
      objects("postgresql").flatMap(({ kind, metadata, data }) =>
        kind === "ConfigMap" ? [[metadata.name, parse(data?.["mezite.yaml"] ?? "")]] : [],
      ),
    );
    const [auth, proxy] = [configs.get("mezite-auth"), configs.get("mezite-proxy")];
    const hosts = (proxy.auth.addresses as string[]).map((address) => address.replace(/:3025$/, ""));
    assert.deepEqual(hosts, ["mezite-auth-0.mezite-auth", "mezite-auth-1.mezite-auth"]);
    for (const name of ["mezite.example.com", ...hosts])
      assert.ok(auth.plugins.nodes.config.public_addresses.includes(name), name);
    assert.deepEqual(proxy.proxy.peers, ["mezite-proxy:3024"]);
    assert.equal(auth.proxy, undefined);
  });

  for (const [what, set, words] of [
    ["no public address", ["publicAddress="], /publicAddress.*does not match/],
    ["a public address without a port", ["publicAddress=mezite.example.com"], /publicAddress.*does not match/],
    ["no secret with the passphrase", ["caPassphrase.existingSecret="], /caPassphrase\/existingSecret/],
    ["a key that it does not know", ["auth.replica=1"], /additional properties 'replica' not allowed/],
    ["several auth servers on a file", ["auth.replicas=2"], /several auth servers share a database/],
    ["no replica of the auth server", ["auth.replicas=0"], /auth\/replicas.*minimum: got 0, want 1/],
    ["several auth servers without proxies", ["auth.replicas=2", ...POSTGRES], /several auth servers need proxies of their own/],
    ["PostgreSQL without a host", ["database.driver=postgres"], /database\/host/],
    ["another database", ["database.driver=mysql"], /database\/driver.*one of 'sqlite', 'postgres'/],
    ["proxies without tokens", ["proxy.replicas=2"], /name the secret that will hold them/],
    ["nodes without tokens", ["node.replicas=2"], /name the secret that will hold them/],
    ["a listener that the services do not lead to", ["proxy.config.proxy.web_listen_addr=:80"], /web_listen_addr/],
    ["another data directory", ["config.data_dir=/data"], /additional properties 'data_dir' not allowed/],
    ["a digest that is none", ["image.digest=latest"], /image\/digest/],
    ["a secret in the place of its name", ["auth.secretEnv.S3_SECRET=hunter2"], /secretEnv\/S3_SECRET.*want object/],
  ] as const)
    test(`refuses ${what}`, () => {
      const { status, stderr } = render([
        "--values",
        join(CHART, "ci", "sqlite-values.yaml"),
        ...set.flatMap((one) => ["--set", one]),
      ]);
      assert.notEqual(status, 0);
      assert.match(stderr.replaceAll("\n", " "), words);
    });

  test("is checked against types that find a misspelt key", () => {
    const [first] = objects("sqlite").filter(isWorkload);
    const changed = JSON.parse(JSON.stringify(first).replace("readOnlyRootFilesystem", "readOnlyRootFileSystem"));
    assert.match(complaints([changed]), /readOnlyRootFileSystem/);
  });
});

// --- internal ---

type Rendering = ReturnType<typeof render>;
type Labels = Readonly<Record<string, string>>;

interface Container {
  readonly name: string;
  readonly securityContext: { readonly capabilities: { readonly drop: readonly string[]; readonly add?: readonly string[] } };
  readonly resources: { readonly limits: Labels; readonly requests: Labels };
  readonly ports?: readonly { readonly name: string }[];
  readonly env?: readonly { readonly name: string; readonly value?: string }[];
}

interface KubernetesObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly data?: Labels;
  readonly spec: {
    readonly selector: Labels & { readonly matchLabels: Labels };
    readonly podSelector: { readonly matchLabels: Labels };
    readonly ports?: readonly { readonly targetPort: string }[];
    readonly ingress?: readonly { readonly ports: readonly { readonly port: string }[] }[];
    readonly template: {
      readonly metadata: { readonly labels: Labels };
      readonly spec: {
        readonly automountServiceAccountToken: boolean;
        readonly enableServiceLinks: boolean;
        readonly securityContext: {
          readonly runAsNonRoot?: boolean;
          readonly runAsUser: number;
          readonly seccompProfile: { readonly type: string };
        };
        readonly initContainers: readonly Container[];
        readonly containers: readonly Container[];
      };
    };
  };
}

function isWorkload({ kind }: KubernetesObject): boolean {
  return kind === "StatefulSet";
}

function helm(args: readonly string[]) {
  // Nothing of the machine's own Helm: no plugins, no repositories.
  const env = { PATH: process.env.PATH, HOME: folder, XDG_CACHE_HOME: folder, XDG_CONFIG_HOME: folder, XDG_DATA_HOME: folder };
  return spawnSync(requirePeer("helm"), args, { encoding: "utf8", cwd: folder, env });
}

function render(args: readonly string[]) {
  return helm(["template", "mezite", CHART, "--namespace", "mezite", ...args]);
}

/** What TypeScript says of the objects under the types of Kubernetes: unknown keys, wrong types, what is missing. */
function complaints(objects: readonly KubernetesObject[]): string {
  const types = dirname(requirePeer("kubernetes-types"));
  const work = mkdtempSync(join(folder, "types-"));
  mkdirSync(join(work, "node_modules"));
  symlinkSync(types, join(work, "node_modules", "kubernetes-types"));
  const lines = objects.map((object, index) => {
    const [group, version] = object.apiVersion.includes("/") ? object.apiVersion.split("/") : ["core", object.apiVersion];
    const file = `kubernetes-types/${group?.split(".")[0]}/${version}`;
    return `const object${index}: import("${file}").${object.kind} = ${JSON.stringify(object)};`;
  });
  writeFileSync(join(work, "objects.ts"), lines.join("\n"));
  const tsc = fileURLToPath(projectFile("node_modules/typescript/bin/tsc"));
  const flags = ["--noEmit", "--strict", "--skipLibCheck", "--module", "esnext", "--moduleResolution", "bundler", "--types", ""];
  return spawnSync(process.execPath, [tsc, ...flags, "objects.ts"], { encoding: "utf8", cwd: work }).stdout;
}

/** What `mezd config check` prints of a configuration. */
async function checked(name: string, text: string): Promise<string> {
  const file = join(folder, `${name}.yaml`);
  writeFileSync(file, text.replace(/^data_dir: .*$/m, `data_dir: ${folder}`));
  const env = { MEZITE_SECRET_DATABASE_PASSWORD: "a-secret", S3_SECRET: "a-secret" };
  let printed = "";
  const stdout = {
    write: (said: string) => {
      printed += said;
    },
  };
  await checkConfig({ globals: { config: file }, env, stdout } as unknown as CommandContext);
  return printed;
}
