import { Migration } from "@mikro-orm/migrations";

/** `traits` is JSON; roles have rows of their own, so that the holders of a role are found by an index. */
export class CreateUsers extends Migration {
  override up(): void {
    this.addSql(
      "create table users (name text primary key, traits text not null, created_at timestamptz not null, updated_at timestamptz not null)",
    );
    this.addSql("create table user_roles (user_name text not null, role text not null, primary key (user_name, role))");
    this.addSql("create index user_roles_role on user_roles (role)");
  }
}
