import { Migration } from "@mikro-orm/migrations";

/** The seal of each recording; those that are complete already have none. */
export class AddSeals extends Migration {
  override up(): void {
    this.addSql("alter table recordings add column seal_statement text");
    this.addSql("alter table recordings add column seal_signature text");
  }
}
