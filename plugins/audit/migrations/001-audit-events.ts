import { Migration } from "@mikro-orm/migrations";
import { GENESIS_HASH } from "../canonical-row.js";

/** The audit log, and the one row that says where its chain ends. */
export class CreateAuditEvents extends Migration {
  override up(): void {
    this.addSql(`create table audit_events (
      seq bigint primary key,
      id text not null unique,
      event_type text not null,
      event_code text not null,
      timestamp timestamptz not null,
      cluster_name text not null,
      user_name text not null,
      user_roles text not null,
      impersonator text not null,
      resource_type text not null,
      resource_name text not null,
      resource_labels text not null,
      server_id text not null,
      server_hostname text not null,
      client_ip text not null,
      session_id text not null,
      success boolean not null,
      error_message text not null,
      metadata text not null,
      hash text not null
    )`);
    this.addSql("create index audit_events_timestamp on audit_events (timestamp, seq)");
    this.addSql("create index audit_events_type on audit_events (event_type, timestamp, seq)");
    this.addSql("create index audit_events_user on audit_events (user_name, timestamp, seq)");
    this.addSql("create table audit_head (id integer primary key, last_seq bigint not null, last_hash text not null)");
    this.addSql(`insert into audit_head (id, last_seq, last_hash) values (1, 0, '${GENESIS_HASH}')`);
  }
}
