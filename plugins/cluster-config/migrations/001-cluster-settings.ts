import { Migration } from "@mikro-orm/migrations";

export class CreateClusterSettings extends Migration {
  override up(): void {
    this.addSql(
      "create table cluster_settings (key text primary key, value text not null, updated_by text not null, updated_at timestamptz not null)",
    );
  }
}
