import type { JoinClient } from "../../../core/join/join-client.js";
import type { ServiceToken } from "../../../core/plugin/contract.js";

/** Provided in proxies and nodes. */
export const JOIN_CLIENT: ServiceToken<JoinClient> = { id: "join-client", version: 1 };
