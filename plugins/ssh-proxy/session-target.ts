import { MezError } from "../../core/errors/error.js";
import type { Collection } from "../../core/plugin/collection.js";
import type { NodeEntry } from "../nodes/api.js";

/** Ports that mean "the SSH server of the node". */
const NODE_PORTS: ReadonlySet<number> = new Set([22, 3022]);

/**
 * Checks that a client asks for a node's SSH server and nothing else.
 * @returns The name, as the person wrote it but in lower case.
 * @throws {MezError} `INVALID_ARGUMENT` with a line for the person.
 */
export function parseTarget(host: string, port: number): string {
  const name = host.toLowerCase().replace(/\.$/, "");
  if (!/^[a-z0-9][a-z0-9._-]{0,252}$/.test(name))
    throw new MezError("INVALID_ARGUMENT", `"${host.slice(0, 60).replace(/[^\x20-\x7e]/g, "?")}" is not a node name`);
  if (!NODE_PORTS.has(port))
    throw new MezError(
      "INVALID_ARGUMENT",
      `the proxy leads to SSH on port 22 only; for port ${port} forward through the node: ssh -L … ${name}`,
    );
  return name;
}

/** Finds a node by name, by name and cluster (`web-01.prod`), or by id. */
export function findNode(nodes: Collection<NodeEntry>, target: string, clusterName: string): NodeEntry | undefined {
  const suffix = `.${clusterName.toLowerCase()}`;
  const short = target.endsWith(suffix) ? target.slice(0, -suffix.length) : target;
  const named = nodes.get(target) ?? nodes.get(short);
  if (named !== undefined || !UUID.test(short)) return named;
  for (const node of nodes.values()) if (node.id === short) return node;
  return undefined;
}

// --- internal ---

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
