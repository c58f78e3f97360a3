import { Migration } from "@mikro-orm/migrations";

/** Nodes that run OpenSSH instead of our agent. */
export class CreateOpenSshNodes extends Migration {
  override up(): void {
    this.addSql(
      "create table openssh_nodes (id text primary key, name text not null, host text not null, port integer not null, labels text not null, host_key text not null, added_by text not null, added_at timestamptz not null, last_access_at timestamptz null, last_authority text null)",
    );
    this.addSql("create unique index openssh_nodes_name on openssh_nodes (name)");
  }
}
