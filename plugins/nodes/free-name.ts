import { MezError } from "../../core/errors/error.js";
import type { Transaction } from "../../core/plugin/database.js";
import type { AgentRole } from "./agent.js";
import { findAgent, findProxies, findTakenNames } from "./agent-repository.js";
import { findOpenSshNode, findOpenSshNodes } from "./openssh-node-repository.js";

/**
 * Checks a name that is to stand in certificates: no node may be certified under the name of another node, of whatever
 * kind, or under a proxy's address.
 * @param publicAddresses Of a proxy.
 * @throws {MezError} `ALREADY_EXISTS`
 */
export async function requireFreeName(
  tx: Transaction,
  role: AgentRole,
  name: string,
  publicAddresses: readonly string[] = [],
): Promise<void> {
  if ((await findAgent(tx.em, role, name)) !== null) {
    throw new MezError(
      "ALREADY_EXISTS",
      `a ${role} named "${name}" has joined already; remove it first with mezctl nodes rm, or choose another name`,
    );
  }
  if (role === "proxy") return requireFreeAddresses(tx, publicAddresses);
  await requireNoOpenSshNode(tx, name);
  const proxies = await findProxies(tx.em);
  if (proxies.some((proxy) => proxy.publicAddresses.includes(name))) {
    throw new MezError("ALREADY_EXISTS", `"${name}" is the address of a proxy; choose another name`);
  }
}

/** @throws {MezError} `ALREADY_EXISTS` when an OpenSSH node has that name */
export async function requireNoOpenSshNode(tx: Transaction, name: string): Promise<void> {
  if ((await findOpenSshNode(tx.em, name)) !== null) {
    throw new MezError(
      "ALREADY_EXISTS",
      `an OpenSSH node named "${name}" was added already; remove it first with mezctl nodes rm, or choose another name`,
    );
  }
}

/** The same for the addresses of a proxy. @throws {MezError} `ALREADY_EXISTS` */
export async function requireFreeAddresses(tx: Transaction, publicAddresses: readonly string[]): Promise<void> {
  const added = (await findOpenSshNodes(tx.em)).map(({ name }) => name).filter((name) => publicAddresses.includes(name));
  const [taken] = [...(await findTakenNames(tx.em, "node", publicAddresses)), ...added];
  if (taken !== undefined) throw new MezError("ALREADY_EXISTS", `public address "${taken}" is the name of a node`);
}
