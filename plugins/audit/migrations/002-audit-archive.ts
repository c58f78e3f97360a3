import { Migration } from "@mikro-orm/migrations";
import { GENESIS_HASH } from "../canonical-row.js";

/** Where the chain begins in the database, the segments of the archive, and how far each forwarder is. */
export class AddAuditArchive extends Migration {
  override up(): void {
    this.addSql("alter table audit_head add column base_seq bigint not null default 0");
    this.addSql(`alter table audit_head add column base_hash text not null default '${GENESIS_HASH}'`);
    this.addSql(`create table audit_segments (
      destination text not null,
      first_seq bigint not null,
      last_seq bigint not null,
      previous_hash text not null,
      last_hash text not null,
      day text not null,
      sealed boolean not null,
      primary key (destination, first_seq)
    )`);
    this.addSql(`create table audit_cursors (
      name text primary key,
      seq bigint not null,
      missed bigint not null
    )`);
  }
}
