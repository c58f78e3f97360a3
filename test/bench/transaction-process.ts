import { performance } from "node:perf_hooks";
import { openCrashDatabase, readPlace, writeEntry } from "../fixtures/crash-writer.js";

/** So many writers at once, for so long. */
export interface TransactionOrder {
  readonly writers: number;
  readonly milliseconds: number;
}

const opened = await openCrashDatabase(readPlace(process.env.TRANSACTION_BENCH ?? ""));
await opened.follow();
let count = 0;

process.on("message", (order: TransactionOrder) => void work(order).then((perSecond) => process.send?.(perSecond)));
process.once("disconnect", () => void opened.close());
process.send?.("ready");

// --- internal ---

/** @returns Transactions a second. */
async function work({ writers, milliseconds }: TransactionOrder): Promise<number> {
  const [from, begun] = [count, performance.now()];
  const writer = async (): Promise<void> => {
    while (performance.now() - begun < milliseconds) {
      count += 1;
      await writeEntry(opened.database, `${process.pid}-${count}`);
    }
  };
  await Promise.all(Array.from({ length: writers }, writer));
  return ((count - from) * 1000) / (performance.now() - begun);
}
