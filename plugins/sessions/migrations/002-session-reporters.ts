import { Migration } from "@mikro-orm/migrations";

/** When the processes that report sessions were last heard of: each speaks to one of the auth servers. */
export class CreateSessionReporters extends Migration {
  override up(): void {
    this.addSql("create table session_reporters (reporter text primary key, heard_at timestamptz not null)");
  }
}
