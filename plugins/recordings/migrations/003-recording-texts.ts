import { Migration } from "@mikro-orm/migrations";

/** The text of each recording for searches, in compressed parts. */
export class CreateRecordingTexts extends Migration {
  override up(): void {
    this.addSql("alter table recordings add column text_state text");
    this.addSql(
      "create table recording_texts (recording_id text not null references recordings (id) on delete cascade, part integer not null, text bytea not null, is_last boolean not null, primary key (recording_id, part))",
    );
  }
}
