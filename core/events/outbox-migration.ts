import { Migration } from "@mikro-orm/migrations";
import type { Migrations } from "../plugin/database.js";

class CreateOutbox extends Migration {
  override up(): void {
    this.addSql(
      "create table outbox (seq bigint primary key, topic text not null, key text, payload text, removed boolean not null)",
    );
    this.addSql("create table outbox_head (id integer primary key, last_seq bigint not null)");
    this.addSql("insert into outbox_head (id, last_seq) values (1, 0)");
  }
}

export const OUTBOX_MIGRATIONS: Migrations = [{ name: "001-outbox", class: CreateOutbox }];
