import { Migration } from "@mikro-orm/migrations";

/** Of a session token only the SHA-256 is kept; passwords as argon2id. */
export class CreateAuthentication extends Migration {
  override up(): void {
    this.addSql(
      "create table passwords (user_name text primary key, hash text not null, must_change boolean not null, changed_at timestamptz not null)",
    );
    this.addSql(
      "create table login_sessions (id text primary key, token_hash text not null, user_name text not null, created_at timestamptz not null, expires_at timestamptz not null, last_used_at timestamptz not null, client_address text not null)",
    );
    this.addSql("create unique index login_sessions_token_hash on login_sessions (token_hash)");
    this.addSql("create index login_sessions_user_name on login_sessions (user_name)");
    this.addSql("create index login_sessions_expires_at on login_sessions (expires_at)");
  }
}
