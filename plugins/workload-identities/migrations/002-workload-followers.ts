import { Migration } from "@mikro-orm/migrations";

/** Which identity daemons serve SVIDs, for every auth server to know: each speaks to one of them. */
export class CreateWorkloadFollowers extends Migration {
  override up(): void {
    this.addSql(
      "create table workload_followers (instance text primary key, name text not null, trusted text, last_seen timestamptz not null)",
    );
  }
}
