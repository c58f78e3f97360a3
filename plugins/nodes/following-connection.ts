import type { CallOptions, RpcClient, RpcConnection, RpcDefinition } from "../../core/plugin/rpc.js";

/**
 * A connection that outlives the credentials it was opened with: calls go over the newest one. What runs on an old one
 * runs to its end.
 */
export class FollowingConnection implements RpcConnection {
  #current: { readonly connection: RpcConnection; readonly clients: Map<RpcDefinition, RpcClient<RpcDefinition>> };

  constructor(connection: RpcConnection) {
    this.#current = { connection, clients: new Map() };
  }

  replace(connection: RpcConnection): void {
    const { connection: old } = this.#current;
    this.#current = { connection, clients: new Map() };
    old.close();
  }

  client<Definition extends RpcDefinition>(definition: Definition): RpcClient<Definition> {
    const methods = Object.keys(definition).map((name) => {
      const method = (request: unknown, options?: CallOptions): unknown => {
        const call = this.#clientOf(definition)[name] as (request: unknown, options?: CallOptions) => unknown;
        return call(request, options);
      };
      return [name, method] as const;
    });
    return Object.fromEntries(methods) as RpcClient<Definition>;
  }

  serverFingerprint(): Promise<Buffer> {
    return this.#current.connection.serverFingerprint();
  }

  serverAuthority(): Buffer | null {
    return this.#current.connection.serverAuthority();
  }

  moveOn(): void {
    this.#current.connection.moveOn?.();
  }

  close(): void {
    this.#current.connection.close();
  }

  #clientOf(definition: RpcDefinition): RpcClient<RpcDefinition> {
    const { connection, clients } = this.#current;
    const known = clients.get(definition);
    if (known !== undefined) return known;
    const made = connection.client(definition);
    clients.set(definition, made);
    return made;
  }
}
