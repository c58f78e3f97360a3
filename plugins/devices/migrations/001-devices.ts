import { Migration } from "@mikro-orm/migrations";

/** Of tokens, challenges and the secrets for TPMs only the SHA-256 is kept. */
export class CreateDevices extends Migration {
  override up(): void {
    this.addSql(
      "create table devices (id text primary key, user_name text not null, name text not null, assurance text not null, public_key text not null, endorsement_key text, created_at timestamptz not null, last_used_at timestamptz, revoked_at timestamptz, revoked_by text not null)",
    );
    this.addSql("create unique index devices_name on devices (user_name, name)");
    this.addSql("create unique index devices_public_key on devices (public_key)");
    this.addSql(
      "create table device_enrolment_tokens (hash text primary key, user_name text not null, created_by text not null, created_at timestamptz not null, expires_at timestamptz not null)",
    );
    this.addSql(
      "create table device_challenges (hash text primary key, purpose text not null, user_name text not null, client_address text not null, public_key text, assurance text, endorsement_key text, secret_hash text, token_hash text, created_at timestamptz not null, expires_at timestamptz not null)",
    );
    this.addSql("create index device_challenges_user_name on device_challenges (user_name)");
  }
}
