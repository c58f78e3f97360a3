import { Migration } from "@mikro-orm/migrations";

/** `document` is the role as JSON; built-in roles are not stored. */
export class CreateRoles extends Migration {
  override up(): void {
    this.addSql(
      "create table roles (name text primary key, document text not null, created_at timestamptz not null, updated_at timestamptz not null)",
    );
  }
}
