/** What a server tells the others of a commit: up to where the outbox goes, and which server it is. */
export interface CommitNote {
  readonly seq: number;
  readonly server: string;
}

export function writeNote({ seq, server }: CommitNote): string {
  return `${seq} ${server}`;
}

/** `null` for anything else, e.g. of an older release, which tells nothing. */
export function readNote(text: string): CommitNote | null {
  const [, seq, server] = /^(\d{1,15}) ([0-9a-f-]{36})$/.exec(text) ?? [];
  return seq === undefined || server === undefined ? null : { seq: Number(seq), server };
}
