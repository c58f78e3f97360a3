import type { HostCredentials } from "../../../core/plugin/host-identity.js";
import { IdentityStore } from "../../../plugins/nodes/identity-store.js";
import { agentFolder } from "./fleet-protocol.js";

/** What an agent got when it joined. @param folder Of all agents. */
export async function credentialsOf(folder: string, name: string): Promise<HostCredentials> {
  const credentials = await new IdentityStore(agentFolder(folder, name), "node").load();
  if (credentials === null) throw new Error(`${name} has not joined`);
  return credentials;
}
