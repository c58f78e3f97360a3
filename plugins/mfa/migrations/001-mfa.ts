import { Migration } from "@mikro-orm/migrations";

/** TOTP secrets are sealed; of recovery codes and the secrets of ceremonies only the SHA-256 is kept. */
export class CreateMfa extends Migration {
  override up(): void {
    this.addSql(
      "create table mfa_factors (id text primary key, user_name text not null, kind text not null, name text not null, created_at timestamptz not null, last_used_at timestamptz, sealed_secret text, last_step integer, credential_id text, public_key text, counter bigint, transports text, rp_id text)",
    );
    this.addSql("create unique index mfa_factors_name on mfa_factors (user_name, name)");
    this.addSql("create unique index mfa_factors_credential_id on mfa_factors (credential_id)");
    this.addSql("create table mfa_recovery_codes (hash text primary key, user_name text not null)");
    this.addSql("create index mfa_recovery_codes_user_name on mfa_recovery_codes (user_name)");
    this.addSql(
      "create table mfa_ceremonies (id text primary key, purpose text not null, user_name text not null, client_address text not null, holder_hash text not null, link_hash text not null, check_code text not null, may_enrol boolean not null, minimum text not null, factor_name text not null, proven_kind text, proven_factor_id text, challenge text, pending_secret text, failures integer not null, created_at timestamptz not null, expires_at timestamptz not null)",
    );
    this.addSql("create unique index mfa_ceremonies_holder_hash on mfa_ceremonies (holder_hash)");
    this.addSql("create unique index mfa_ceremonies_link_hash on mfa_ceremonies (link_hash)");
    this.addSql("create index mfa_ceremonies_user_name on mfa_ceremonies (user_name)");
    this.addSql("create index mfa_ceremonies_expires_at on mfa_ceremonies (expires_at)");
    this.addSql("create table mfa_web_address (id text primary key, address text not null, announced_at timestamptz not null)");
  }
}
