import { Migration } from "@mikro-orm/migrations";

/** The agents, when each was last heard, and the answers to proofs of joining. */
export class CreateAgents extends Migration {
  override up(): void {
    this.addSql(
      "create table agents (id text primary key, role text not null, name text not null, hostname text not null, agent_labels text not null, admin_labels text not null, os text not null, version text not null, address text not null, public_addresses text not null, joined_by text not null, joined_at timestamptz not null, certificate_serial text not null, certificate_expires_at timestamptz not null)",
    );
    this.addSql("create unique index agents_role_name on agents (role, name)");
    // Apart from the agents, because it changes all the time.
    this.addSql("create table agent_heartbeats (agent_id text primary key, last_seen timestamptz not null)");
    this.addSql(
      "create table agent_joins (proof text primary key, agent_id text not null, request_hash text not null, answer text not null, created_at timestamptz not null)",
    );
    this.addSql("create index agent_joins_created_at on agent_joins (created_at)");
  }
}
