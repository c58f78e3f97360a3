import { messageOf } from "../../core/errors/error.js";
import type { Lifecycle } from "../../core/plugin/contract.js";
import type { Logger } from "../../core/plugin/logger.js";
import type { WebDoor } from "../../core/plugin/web-door.js";
import type { MfaClient } from "./ceremony-client.js";

/** Tells the auth service where this proxy's pages are, so that it can make links. */
export class WebAnnouncer implements Lifecycle {
  #timer: NodeJS.Timeout | null = null;
  #announced: string | null = null;

  constructor(
    private readonly door: Pick<WebDoor, "publicOrigin">,
    private readonly mfa: () => MfaClient,
    private readonly logger: Logger,
  ) {}

  async start(): Promise<void> {
    this.#plan(0);
  }

  async dispose(): Promise<void> {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  #plan(ms: number): void {
    this.#timer = setTimeout(() => void this.#announce(), ms).unref();
  }

  async #announce(): Promise<void> {
    const address = this.door.publicOrigin;
    try {
      if (address !== null && address !== this.#announced) {
        await this.mfa().announceWebAddress({ address });
        this.#announced = address;
      }
    } catch (error) {
      this.logger.debug("the auth service does not know yet where the web pages are", { error: messageOf(error) });
    }
    if (this.#timer !== null) this.#plan(address !== null && address === this.#announced ? STEADY_MS : RETRY_MS);
  }
}

// --- internal ---

const RETRY_MS = 1_000;
const STEADY_MS = 30_000;
