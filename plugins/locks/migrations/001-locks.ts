import { Migration } from "@mikro-orm/migrations";

/** The locks in force, and those that have expired and are not swept yet. */
export class CreateLocks extends Migration {
  override up(): void {
    this.addSql(
      "create table locks (id text primary key, target_type text not null, target_name text not null, message text not null, created_by text not null, created_at timestamptz not null, expires_at timestamptz)",
    );
    this.addSql("create index locks_target on locks (target_type, target_name)");
    this.addSql("create index locks_expires_at on locks (expires_at)");
  }
}
