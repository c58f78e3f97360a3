import { Migration } from "@mikro-orm/migrations";

/** What agents say of the CA keys that they trust, for every auth server to know. */
export class AddAgentTrust extends Migration {
  override up(): void {
    this.addSql("alter table agent_heartbeats add column trust text");
  }
}
