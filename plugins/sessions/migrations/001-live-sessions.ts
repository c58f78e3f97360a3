import { Migration } from "@mikro-orm/migrations";

/** Sessions under way, those that ended of late (so that a report sent twice is known), and the words that end them. */
export class CreateLiveSessions extends Migration {
  override up(): void {
    this.addSql(
      "create table live_sessions (id text primary key, kind text not null, user_name text not null, roles text not null, login text not null, node text not null, client_address text not null, started_at timestamptz not null, ended_at timestamptz, reporter text not null, last_number integer not null)",
    );
    this.addSql("create index live_sessions_reporter on live_sessions (reporter, ended_at)");
    this.addSql("create index live_sessions_ended_at on live_sessions (ended_at)");
    this.addSql(
      "create table session_terminations (session_id text primary key, reason text not null, terminated_by text not null, terminated_at timestamptz not null)",
    );
  }
}
