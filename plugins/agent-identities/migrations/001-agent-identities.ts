import { Migration } from "@mikro-orm/migrations";

/** Identities, their join tokens, and the instances that joined. */
export class CreateAgentIdentities extends Migration {
  override up(): void {
    this.addSql(
      "create table agent_identities (name text primary key, roles text not null, created_by text not null, created_at timestamptz not null)",
    );
    // The tokens themselves are the plugin tokens'; here stands what each is for, and what was made of it.
    this.addSql("create table agent_identity_tokens (token_id text primary key, identity text not null, instance_id text)");
    this.addSql(
      "create table agent_identity_instances (id text primary key, identity text not null, generation integer not null, seen_generation integer not null, keys_hash text not null, answer text not null, certificate_serial text not null, certificate_expires_at timestamptz not null, created_at timestamptz not null, last_seen timestamptz not null, address text not null, lock_reason text not null)",
    );
    this.addSql("create index agent_identity_instances_identity on agent_identity_instances (identity)");
  }
}
