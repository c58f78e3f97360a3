import { Migration } from "@mikro-orm/migrations";

/** How many certificates each set of keys has issued, by when they expire. */
export class CreateIssuedCertificates extends Migration {
  override up(): void {
    this.addSql(`create table "ca_issued" (
      "id" text not null primary key,
      "authority" text not null references "ca_authorities" ("type"),
      "generation" integer not null,
      "expires_at" timestamptz not null,
      "count" integer not null
    )`);
  }
}
