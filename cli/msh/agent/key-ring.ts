import type { Destination } from "../../../core/ssh/agent-destinations.js";
import type { AgentIdentity } from "../../../core/ssh/agent-protocol.js";
import type { SshPrivateKey } from "../../../core/ssh/private-key.js";

/** A key that somebody added with `ssh-add`. */
export interface AddedKey extends AgentIdentity {
  readonly key: SshPrivateKey;
  /** Whether the person is asked at each use. */
  readonly confirm: boolean;
  /** Where it may be used; empty for everywhere. */
  readonly destinations: readonly Destination[];
  /** `null` for as long as the agent runs. */
  readonly lifetimeSeconds: number | null;
}

/** Keys in memory, each until it is removed or its lifetime is over. */
export class KeyRing {
  readonly #keys = new Map<string, { readonly added: AddedKey; readonly end: NodeJS.Timeout | undefined }>();

  /** In the order in which they were added. */
  list(): readonly AddedKey[] {
    return [...this.#keys.values()].map(({ added }) => added);
  }

  find(blob: Buffer): AddedKey | undefined {
    return this.#keys.get(nameOf(blob))?.added;
  }

  /** A key that is there already gets the new comment and constraints. */
  add(added: AddedKey): void {
    this.remove(added.blob);
    const { lifetimeSeconds } = added;
    const end =
      lifetimeSeconds === null
        ? undefined
        : setTimeout(() => this.remove(added.blob), Math.min(lifetimeSeconds * 1000, MAX_TIMER_MS)).unref();
    this.#keys.set(nameOf(added.blob), { added, end });
  }

  /** `false` when it is not here. */
  remove(blob: Buffer): boolean {
    clearTimeout(this.#keys.get(nameOf(blob))?.end);
    return this.#keys.delete(nameOf(blob));
  }

  clear(): void {
    for (const { blob } of this.list()) this.remove(blob);
  }
}

// --- internal ---

const MAX_TIMER_MS = 2 ** 31 - 1;

function nameOf(blob: Buffer): string {
  return blob.toString("base64");
}
