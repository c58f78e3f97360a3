import { Migration } from "@mikro-orm/migrations";

/** When the archive is written next, in seconds since 1970, by whichever server comes first. */
export class AddArchiveSchedule extends Migration {
  override up(): void {
    this.addSql("create table audit_archive_schedule (id integer primary key, next_at bigint not null)");
    this.addSql("insert into audit_archive_schedule (id, next_at) values (1, 0)");
  }
}
