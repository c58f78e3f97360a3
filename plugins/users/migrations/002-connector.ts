import { Migration } from "@mikro-orm/migrations";

/** Which connector an account belongs to; null for one with a password here. */
export class AddConnector extends Migration {
  override up(): void {
    this.addSql("alter table users add column connector text");
  }
}
