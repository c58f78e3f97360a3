import { MezError } from "../../core/errors/error.js";
import type { AuditRecord } from "../../core/plugin/audit.js";
import type { Database } from "../../core/plugin/database.js";
import type { RecordingStore } from "../../core/ports/recording-store.js";
import { type ListedRecording, listRecordings, type RecordingPageEnd } from "./recording-repository.js";
import type { SizedRecording } from "./recording-service.js";
import { folded, MAX_SEARCH_CHARACTERS, textOf } from "./recording-text.js";
import { findTexts, type PackedText, unpacked } from "./recording-text-repository.js";

/** Text that may be searched for, as it is compared. */
export type SearchText = string & { readonly brand: "SearchText" };

/** @throws {MezError} `INVALID_ARGUMENT` */
export function parseSearchText(text: string): SearchText {
  if (text.trim() !== "" && text.length <= MAX_SEARCH_CHARACTERS && !/[\x00-\x1f\x7f]/.test(text))
    return folded(text) as SearchText;
  throw new MezError(
    "INVALID_ARGUMENT",
    `a text of ${text.length} characters cannot be searched for; use 1 to ${MAX_SEARCH_CHARACTERS} within one line, without control characters`,
  );
}

/** A recording that contains the text, or of which nobody knows. */
export interface SearchResult {
  readonly recording: SizedRecording;
  /** Its text could not be read. */
  readonly unsearched: boolean;
}

/** Searches recordings: in the text that is kept of them, and where there is none, where they lie. */
export class RecordingSearch {
  constructor(
    private readonly database: Database,
    private readonly store: RecordingStore,
  ) {}

  /**
   * Newest first. Noted in the audit log before anything is read.
   * @param userName Empty for all users.
   */
  async *run(
    text: SearchText,
    userName: string,
    reader: Omit<AuditRecord, "type">,
    signal: AbortSignal,
  ): AsyncGenerator<SearchResult> {
    await this.database.transaction(async (tx) =>
      tx.audit({
        ...reader,
        type: "recording.searched",
        resourceType: "recording",
        metadata: { contains: text, ...(userName === "" ? {} : { recorded_user: userName }) },
      }),
    );
    let before: RecordingPageEnd | undefined;
    do {
      const filter = { userName, ...(before === undefined ? {} : { before }) };
      const page = await this.database.read((em) => listRecordings(em, filter, PAGE));
      const kept = page.filter(({ textState }) => textState === "stored").map(({ id }) => id);
      const texts = await this.database.read((em) => findTexts(em, kept, 0));
      for (const recording of page) {
        if (signal.aborted) return;
        const found = await this.#contains(recording, text, texts.get(recording.id));
        if (found === false) continue;
        const sizeBytes = recording.sizeBytes ?? (await this.store.size(recording.id));
        yield { recording: { ...recording, sizeBytes }, unsearched: found === null };
      }
      before = page.length < PAGE ? undefined : page.at(-1);
    } while (before !== undefined);
  }

  /** @returns `null` when nobody knows. */
  async #contains(
    { id, textState }: ListedRecording,
    text: SearchText,
    firstPart: PackedText | undefined,
  ): Promise<boolean | null> {
    if (textState !== "stored") return this.#isInStore(id, text);
    for (let kept = firstPart, part = 1; kept !== undefined; part += 1) {
      if ((await unpacked(kept)).includes(text)) return true;
      if (kept.isLast) return false;
      kept = (await this.database.read((em) => findTexts(em, [id], part))).get(id);
    }
    return false;
  }

  async #isInStore(id: string, text: SearchText): Promise<boolean | null> {
    try {
      if ((await this.store.size(id)) === 0) return false;
      const bytes = await this.store.read(id);
      try {
        for await (const piece of textOf(bytes)) if (piece.includes(text)) return true;
        return false;
      } finally {
        bytes.destroy();
      }
    } catch {
      return null;
    }
  }
}

// --- internal ---

const PAGE = 50;
