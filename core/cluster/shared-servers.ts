import type { Database, Transaction } from "../plugin/database.js";
import type { OutboxKeeper } from "../storage/outbox-keeper.js";
import type { Membership } from "./membership.js";
import { type Decided, listServers, readDecided, writeDecided } from "./server-records.js";

/** One of the servers that share the database. */
export interface ListedServer {
  /** The name of its host. */
  readonly name: string;
  readonly isThis: boolean;
  /** What it last said of itself; `null` for nothing yet. */
  readonly report: string | null;
}

/** The servers that share a database: who they are, and what they decide together. */
export class SharedServers {
  constructor(
    private readonly database: Database,
    private readonly membership: Membership,
    private readonly keeper: OutboxKeeper,
  ) {}

  async list(): Promise<readonly ListedServer[]> {
    const rows = await this.database.read(listServers);
    return rows.map(({ id, name, report }) => ({ name, isThis: id === this.keeper.server, report: report ?? null }));
  }

  /** Tells the others how this one fares. */
  report(text: string): Promise<void> {
    return this.membership.report(text);
  }

  /** `null` when nothing was decided yet. */
  decided(): Promise<Decided | null> {
    return this.database.read(readDecided);
  }

  /** @throws {MezError} `CONFLICT`, see `writeDecided` */
  decide(tx: Transaction, before: number, decisions: string): Promise<number> {
    return writeDecided(tx.em, before, decisions);
  }
}
