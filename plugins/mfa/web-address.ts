import { defineEntity, p } from "@mikro-orm/core";
import { MezError } from "../../core/errors/error.js";
import type { Database, Transaction } from "../../core/plugin/database.js";
import type { Clock } from "../../core/time/clock.js";

export const WebAddressRecord = defineEntity({
  name: "MfaWebAddressRecord",
  tableName: "mfa_web_address",
  properties: { id: p.text().primary(), address: p.text(), announcedAt: p.datetime() },
});

/** Where people reach the web pages: as configured, else as a proxy said last. */
export class WebAddress {
  constructor(
    private readonly database: Database,
    private readonly clock: Clock,
    /** `https://host[:port]`; empty to go by the proxies. */
    private readonly configured: string,
  ) {}

  /** e.g. `https://mezite.example.com:3080`; `null` when nobody knows. */
  async base(em: Transaction["em"]): Promise<string | null> {
    const address = this.configured === "" ? (await em.findOne(WebAddressRecord, { id: ONLY }))?.address : this.configured;
    return address ?? null;
  }

  /** Notes what a proxy says. @throws {MezError} `INVALID_ARGUMENT` */
  async announce(address: string): Promise<void> {
    checkWebAddress(address);
    const known = await this.database.read((em) => em.findOne(WebAddressRecord, { id: ONLY }));
    if (known?.address === address) return;
    await this.database.transaction(async ({ em }) => {
      const values = { address, announcedAt: this.clock.now() };
      if ((await em.nativeUpdate(WebAddressRecord, { id: ONLY }, values)) === 0)
        await em.insert(WebAddressRecord, { id: ONLY, ...values });
    });
  }
}

/** @throws {MezError} `INVALID_ARGUMENT` for anything but `https://host[:port]` */
export function checkWebAddress(address: string): void {
  if (URL.canParse(address) && new URL(address).origin === address && address.startsWith("https://")) return;
  throw new MezError(
    "INVALID_ARGUMENT",
    `web address "${address.slice(0, 100)}" is not valid; write https://mezite.example.com:3080`,
  );
}

// --- internal ---

const ONLY = "pages";
