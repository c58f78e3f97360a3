import { Migration } from "@mikro-orm/migrations";

/** The cluster's settings that were set; the others have their defaults. */
export class CreateClusterSettings extends Migration {
  override up(): void {
    this.addSql(
      "create table cluster_settings (key text primary key, value text not null, updated_by text not null, updated_at timestamptz not null)",
    );
  }
}
