import { MezError } from "../errors/error.js";
import type { Database, Transaction } from "./database.js";

/**
 * Gives what was made for `order`, a value that survives JSON and names all that it depends on. When nothing was, the
 * transaction is undone and run again later, with what `make` gave.
 */
export type Prepared<Made> = (order: unknown, make: () => Promise<Made>) => Made;

const MAX_ROUNDS = 5;

/**
 * A transaction that needs something which takes long to make, e.g. a signature of an HSM, and that depends on what the
 * transaction reads. Nobody else can write while it is made, were that inside; so the work is run, undone where it needs the
 * thing, and run again when it is there. What the work decides holds in the run that is committed.
 * @throws whatever `work` or `make` throws; `UNAVAILABLE` when others change what it depends on again and again
 */
export async function preparedTransaction<Made, T>(
  database: Database,
  work: (tx: Transaction, prepared: Prepared<Made>) => Promise<T>,
): Promise<T> {
  const made = new Map<string, Made>();
  for (let round = 0; round < MAX_ROUNDS; round += 1) {
    try {
      return await database.transaction((tx) =>
        work(tx, (order, make) => {
          const name = JSON.stringify(order);
          const found = made.get(name);
          if (found === undefined) throw new Missing(name, make as () => Promise<unknown>);
          return found;
        }),
      );
    } catch (error) {
      if (!(error instanceof Missing)) throw error;
      made.set(error.order, (await error.make()) as Made);
    }
  }
  throw new MezError("UNAVAILABLE", "somebody else changes the same thing all the time; try again");
}

// --- internal ---

class Missing extends Error {
  constructor(
    readonly order: string,
    readonly make: () => Promise<unknown>,
  ) {
    super("something has to be made first");
  }
}
