import type { RpcDialer } from "../../../core/plugin/dialer.js";
import type { RpcConnection } from "../../../core/plugin/rpc.js";

/**
 * A dialer whose dials all lead to one connection, opened by the first. Ten thousand agents of one process that join would
 * otherwise shake hands twenty thousand times, for calls that are the same on any connection.
 */
export class SharedDialer implements RpcDialer {
  #shared: RpcConnection | null = null;

  constructor(private readonly dialer: RpcDialer) {}

  dial(options: Parameters<RpcDialer["dial"]>[0]): RpcConnection {
    this.#shared ??= this.dialer.dial(options);
    const shared = this.#shared;
    return {
      client: (definition) => shared.client(definition),
      serverFingerprint: () => shared.serverFingerprint(),
      close: () => undefined,
    };
  }

  close(): void {
    this.#shared?.close();
    this.#shared = null;
  }
}
