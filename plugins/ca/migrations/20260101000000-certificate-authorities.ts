import { Migration } from "@mikro-orm/migrations";

/** The authorities and their public keys; private keys are in the key backend. */
export class CreateCertificateAuthorities extends Migration {
  override up(): void {
    this.addSql(`create table "ca_authorities" (
      "type" text not null primary key,
      "phase" text not null,
      "phase_since" timestamptz not null
    )`);
    this.addSql(`create table "ca_keys" (
      "id" text not null primary key,
      "authority" text not null references "ca_authorities" ("type"),
      "generation" integer not null,
      "usage" text not null,
      "backend" text not null,
      "handle" text not null,
      "public_key" text not null,
      "certificate" text,
      "state" text not null,
      "created_at" timestamptz not null,
      unique ("authority", "usage", "generation")
    )`);
    this.addSql(`create unique index "ca_keys_one_active" on "ca_keys" ("authority", "usage") where "state" = 'active'`);
  }
}
