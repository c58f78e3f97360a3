import { Migration } from "@mikro-orm/migrations";

/** `roles` and `nodes` are JSON lists. */
export class CreateAccessRequests extends Migration {
  override up(): void {
    this.addSql(
      "create table access_requests (id text primary key, user_name text not null, roles text not null, nodes text not null, reason text not null, state text not null, created_at timestamptz not null, ttl_seconds integer not null, until timestamptz not null, approvals_needed integer not null, closed_by text not null, close_reason text not null)",
    );
    this.addSql("create index access_requests_state_until on access_requests (state, until)");
    this.addSql("create index access_requests_user_name on access_requests (user_name, created_at)");
    this.addSql(
      "create table access_request_reviews (request_id text not null, reviewer text not null, approved boolean not null, reason text not null, at timestamptz not null, primary key (request_id, reviewer))",
    );
    this.addSql(
      "create table access_request_notifications (id text primary key, request_id text not null, body text not null, created_at timestamptz not null)",
    );
    this.addSql("create index access_request_notifications_created_at on access_request_notifications (created_at, id)");
  }
}
