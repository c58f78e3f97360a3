import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { parseAllDocuments } from "yaml";
import { projectFile } from "../fixtures/project-file.js";
import { needsPeers, requirePeer } from "../peers/require-peer.js";

const folder = mkdtempSync(join(tmpdir(), "mezite-deployment-"));
after(() => rmSync(folder, { recursive: true, force: true }));

describe("systemd units", needsPeers("systemd-analyze"), () => {
  for (const name of readdirSync(pathOf("config/systemd"))) {
    test(`${name} has no unknown word, and names programs that are there`, () => {
      const unit = readFileSync(pathOf(`config/systemd/${name}`), "utf8");
      assert.match(unit, /^ExecStart=\/usr\/local\/bin\/mezd /m);
      writeFileSync(join(folder, name), unit.replace("/usr/local/bin/mezd", process.execPath));
      const { status, stdout, stderr } = run(requirePeer("systemd-analyze"), ["verify", "--man=no", join(folder, name)]);
      assert.deepEqual([status, stdout + stderr], [0, ""]);
    });
  }

  test("the one of the servers may do next to nothing", () => {
    const [unit, user] = [join(folder, "mezite.service"), "User=mezite"];
    assert.match(readFileSync(unit, "utf8"), new RegExp(`^${user}$`, "m"));
    const { stdout, stderr } = run(requirePeer("systemd-analyze"), ["security", "--offline=true", "--no-pager", unit]);
    const exposure = /Overall exposure level for mezite\.service: ([\d.]+)/.exec(stdout)?.[1];
    assert.ok(Number(exposure) <= 2, stdout + stderr);
  });
});

describe("the manifests for Kubernetes", needsPeers("kubectl"), () => {
  const { status, stdout, stderr } = run(requirePeer("kubectl"), ["kustomize", pathOf("config/kubernetes")]);
  const objects = parseAllDocuments(stdout).map((document) => document.toJS({ maxAliasCount: 0 }) as KubernetesObject);
  const find = (kind: string) => objects.find((object) => object.kind === kind) as KubernetesObject;

  test("are rendered, each in the namespace", () => {
    assert.equal(status, 0, stderr);
    const kinds = objects.map(({ kind }) => kind).sort();
    assert.deepEqual(kinds, ["ConfigMap", "Namespace", "NetworkPolicy", "Service", "StatefulSet"]);
    for (const { kind, metadata } of objects) assert.equal(kind === "Namespace" ? metadata.name : metadata.namespace, "mezite");
  });

  test("let no container be root, write to its image, or keep a capability", () => {
    const pod = find("StatefulSet").spec.template.spec;
    assert.equal(pod.securityContext.runAsNonRoot, true);
    assert.equal(pod.automountServiceAccountToken, false);
    for (const { securityContext } of [...pod.initContainers, ...pod.containers])
      assert.deepEqual(securityContext, {
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ["ALL"] },
      });
  });

  test("lead every port of the service to one of the pod, through the network policy", () => {
    const names = find("StatefulSet").spec.template.spec.containers.flatMap(({ ports }) => ports?.map(({ name }) => name) ?? []);
    const ports = find("Service").spec.ports as readonly { targetPort: string }[];
    assert.deepEqual(ports.map(({ targetPort }) => targetPort).sort(), [...names].sort());
    const [rule] = find("NetworkPolicy").spec.ingress;
    assert.deepEqual(rule?.ports.map(({ port }) => port).sort(), [...names].sort());
  });

  test("hold a configuration that mezd takes", () => {
    const file = join(folder, "mezite.yaml");
    const [text] = Object.values(find("ConfigMap").data);
    writeFileSync(file, (text as string).replace(/^data_dir: .*$/m, `data_dir: ${folder}`));
    const {
      status: code,
      stdout: said,
      stderr: complaint,
    } = run(pathOf("cli/bin/mezd"), ["config", "check", `--config=${file}`]);
    assert.equal(code, 0, complaint);
    assert.match(said, /^cluster {2}mezite$/m);
  });
});

test("the Dockerfile copies what the build needs, and ends in a user that is not root with a health check", () => {
  const text = readFileSync(pathOf("config/container/Dockerfile"), "utf8").replaceAll("\\\n", "");
  const steps = text.split("\n").filter((line) => /^[A-Z]+ /.test(line));
  const last = steps.slice(steps.findLastIndex((line) => line.startsWith("FROM ")));
  assert.match(last.findLast((line) => line.startsWith("USER ")) ?? "", /^USER [1-9]\d*:[1-9]\d*$/);
  assert.ok(last.some((line) => line.startsWith("HEALTHCHECK ") && line.endsWith('CMD ["mezd", "health"]')));
  assert.ok(last.every((line) => !/^(?:ADD|ARG) |PASS|TOKEN|SECRET/.test(line)));
  // Copied is what git has at the top, but for pages and what nobody builds with.
  const copied = steps
    .filter((line) => line.startsWith("COPY ") && !line.includes("--from="))
    .flatMap((line) => line.split(" ").slice(1, -1));
  for (const name of copied) assert.ok(existsSync(pathOf(name)), name);
  const files = JSON.parse(readFileSync(pathOf("package.json"), "utf8")).files as readonly string[];
  const shipped = new Set(files.filter((name) => !name.startsWith("!")).map((name) => name.split("/")[0] as string));
  assert.deepEqual(
    [...shipped].filter((name) => name !== "dist" && !copied.includes(name)),
    [],
  );
});

// --- internal ---

interface Container {
  readonly securityContext: object;
  readonly ports?: readonly { readonly name: string }[];
}

interface KubernetesObject {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly data: Readonly<Record<string, string>>;
  readonly spec: {
    readonly ports: readonly object[];
    readonly ingress: readonly { readonly ports: readonly { readonly port: string }[] }[];
    readonly template: {
      readonly spec: {
        readonly automountServiceAccountToken: boolean;
        readonly securityContext: { readonly runAsNonRoot: boolean };
        readonly initContainers: readonly Container[];
        readonly containers: readonly Container[];
      };
    };
  };
}

function pathOf(name: string): string {
  return fileURLToPath(projectFile(name));
}

function run(program: string, args: readonly string[]) {
  return spawnSync(program, args, { encoding: "utf8", cwd: folder });
}
