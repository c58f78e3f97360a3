import type { ServiceToken } from "./contract.js";

/**
 * Work that one server of a cluster does for all: sweeping, archiving, forwarding. Whoever asks first gets a duty, and
 * keeps it until it stops, is gone for about ten seconds, or has not asked for ten minutes; then another one gets it that asks.
 */
export interface Duties {
  /**
   * Tells whether this server has the duty now. Ask before each round of the work, which is safe to do twice: a server
   * that was frozen in the middle of a round goes on with it when it wakes.
   * @param name Unique within the plugin.
   */
  have(name: string): Promise<boolean>;
}

export const DUTIES: ServiceToken<Duties> = { id: "core.duties", version: 1 };
