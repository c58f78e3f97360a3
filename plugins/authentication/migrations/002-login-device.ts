import { Migration } from "@mikro-orm/migrations";

/** The device that a login was made at. */
export class AddLoginDevice extends Migration {
  override up(): void {
    this.addSql("alter table login_sessions add column device text");
  }
}
