/**
 * Waits until all of them are done, also when one fails.
 * @throws what the first in the list failed with
 */
export async function allDone(all: readonly (Promise<unknown> | undefined)[]): Promise<void> {
  for (const each of await Promise.allSettled(all)) if (each.status === "rejected") throw each.reason;
}
