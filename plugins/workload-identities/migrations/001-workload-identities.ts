import { Migration } from "@mikro-orm/migrations";

/** Workload identities with what selects the programs that get them. */
export class CreateWorkloadIdentities extends Migration {
  override up(): void {
    this.addSql(
      "create table workload_identities (name text primary key, id text not null unique, definition text not null, created_by text not null, created_at timestamptz not null)",
    );
  }
}
