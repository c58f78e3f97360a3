import { Migration } from "@mikro-orm/migrations";

/** What is known of each recording; its bytes are in the recording store. */
export class CreateRecordings extends Migration {
  override up(): void {
    this.addSql(
      "create table recordings (id text primary key, session_id text not null, recorder text not null, user_name text not null, login text not null, node text not null, command text not null, started_at timestamptz not null, ended_at timestamptz, size_bytes bigint, state text not null)",
    );
    this.addSql("create index recordings_started_at on recordings (started_at, id)");
    this.addSql("create index recordings_user_name on recordings (user_name, started_at)");
  }
}
