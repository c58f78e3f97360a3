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

/** For several servers: whose event it is, and which commit a number belongs to. */
class AddCommits extends Migration {
  override up(): void {
    this.addSql("alter table outbox add column commit_id text");
    this.addSql("alter table outbox add column server text");
    this.addSql("update outbox set server = '' where topic like 'event:%'");
    this.addSql("alter table outbox_head add column commit_id text");
    this.addSql("create table cluster_servers (id text primary key, name text not null, beats bigint not null)");
    this.addSql("create table cluster_duties (name text primary key, server text not null)");
  }
}

class CreateMoves extends Migration {
  override up(): void {
    this.addSql(
      "create table database_moves (id integer primary key, from_place text not null, rows bigint not null, complete boolean not null)",
    );
  }
}

/** So that a server finds out when another one of a newer release has changed tables. */
class CountSchemaChanges extends Migration {
  override up(): void {
    this.addSql("alter table outbox_head add column schema_changes bigint not null default 0");
  }
}

class AddPlugins extends Migration {
  override up(): void {
    this.addSql("create table cluster_plugins (id integer primary key, revision bigint not null, decisions text not null)");
    this.addSql("alter table cluster_servers add column report text");
  }
}

export const OUTBOX_MIGRATIONS: Migrations = [
  { name: "001-outbox", class: CreateOutbox },
  { name: "002-servers", class: AddCommits },
  { name: "003-moves", class: CreateMoves },
  { name: "004-schema", class: CountSchemaChanges },
  { name: "005-plugins", class: AddPlugins },
];
