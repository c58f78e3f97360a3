/** How far a recording has come on its way into the bucket. JSON. */
export interface Transfer {
  /** `null` before the first part. */
  readonly uploadId: string | null;
  /** Of every part but the last; part n holds the bytes from `(n - 1) * partBytes`. */
  readonly partBytes: number;
  /** Of the parts that the bucket has, in their order. */
  readonly tags: readonly string[];
}

/** S3 takes 10,000 parts of at least 5 MiB: this allows for recordings of 78 GiB. */
export const PART_BYTES = 8 * 1024 * 1024;

export const EMPTY_TRANSFER: Transfer = { uploadId: null, partBytes: PART_BYTES, tags: [] };

/** Reads what an earlier process noted. A note that cannot be read means that the transfer begins anew, which loses nothing. */
export function parseTransfer(text: string): Transfer {
  try {
    const { uploadId, partBytes, tags } = JSON.parse(text) as Partial<Record<keyof Transfer, unknown>>;
    const isWhole =
      (uploadId === null || typeof uploadId === "string") &&
      Number.isSafeInteger(partBytes) &&
      (partBytes as number) > 0 &&
      Array.isArray(tags) &&
      tags.every((tag) => typeof tag === "string");
    return isWhole ? { uploadId, partBytes: partBytes as number, tags } : EMPTY_TRANSFER;
  } catch {
    return EMPTY_TRANSFER;
  }
}
