import { Migration } from "@mikro-orm/migrations";

/** Secrets are not among the columns: `server_key` and `client_public_key` cannot join. */
export class CreateJoinTokens extends Migration {
  override up(): void {
    this.addSql(
      "create table join_tokens (id text primary key, name text, roles text not null, server_key text not null, client_public_key text not null, created_by text not null, created_at timestamptz not null, expires_at timestamptz not null, used_at timestamptz, request_hash text)",
    );
    this.addSql("create index join_tokens_expires_at on join_tokens (expires_at)");
  }
}
