import { Migration } from "@mikro-orm/migrations";

/** Public keys that rotations took out of use, each with the signature of one that vouches for it. */
export class CreateFormerKeys extends Migration {
  override up(): void {
    this.addSql(`create table "ca_former_keys" (
      "public_key" text not null primary key,
      "authority" text not null references "ca_authorities" ("type"),
      "signature" text not null
    )`);
  }
}
