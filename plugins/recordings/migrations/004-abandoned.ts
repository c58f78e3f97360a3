import { Migration } from "@mikro-orm/migrations";

/** When the auth service ended a recording whose recorder was not heard of any more; its end may still come. */
export class AddAbandoned extends Migration {
  override up(): void {
    this.addSql("alter table recordings add column abandoned_at timestamptz");
  }
}
