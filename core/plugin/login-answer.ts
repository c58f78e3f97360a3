import type { CommandContext } from "./commands.js";
import type { RpcClient, RpcDefinition } from "./rpc.js";
import type { Secret } from "./secret.js";

/** What a login step wants of a client, and what the client has to answer with. */
export interface LoginDemand {
  /** As the step's server side wrote it. */
  readonly message: Buffer;
  readonly userName: string;
  /** Of a certificate that the client orders: the keys that it made, as in `CertificateOrder`; empty for a login. */
  readonly publicKeys: readonly Buffer[];
  /** A one-time code that was given beforehand, for a client without a terminal. */
  readonly otp: Secret | undefined;
  /** Of the connection of the login, see `RpcConnection`. What is signed for one cluster is worth nothing at another. */
  readonly serverAuthority: Buffer | null;
  /** A client over the connection of the login, which has no credentials yet. */
  client<Definition extends RpcDefinition>(definition: Definition): RpcClient<Definition>;
}

/**
 * The client side of a login step: the default export of the module that a plugin's catalog entry names as `loginAnswer`.
 * @returns What the step's server side gets as `answer`.
 */
export type LoginAnswer = (context: CommandContext, demand: LoginDemand) => Promise<Buffer>;
