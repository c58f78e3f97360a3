import { Migration } from "@mikro-orm/migrations";

/** Private keys, each encrypted, and how the key that encrypts them is derived. */
export class CreateSoftwareKeys extends Migration {
  override up(): void {
    this.addSql(`create table "software_key_protection" (
      "id" integer not null primary key check ("id" = 1),
      "method" text not null,
      "salt" text not null,
      "wrapped_key" text not null
    )`);
    this.addSql(`create table "software_keys" (
      "handle" text not null primary key,
      "algorithm" text not null,
      "sealed_key" text not null,
      "created_at" timestamptz not null
    )`);
  }
}
