import { MezError } from "../../../core/errors/error.js";
import type { Clock } from "../../../core/time/clock.js";
import type { Workload } from "./workload.js";

type Caller = Pick<Workload, "credentials" | "processKey">;

/** Keeps one program, or one user, from taking the Workload API from the others. */
export class CallerLimits {
  readonly #counts = new Map<string, number>();
  readonly #allowances = new Map<string, { left: number; at: number }>();

  constructor(private readonly clock: Clock) {}

  /** @returns Gives it back. @throws {MezError} `LIMIT_EXCEEDED` */
  admitConnection(caller: Caller): () => void {
    return this.#take("connections", caller, MAX_CONNECTIONS);
  }

  /** @returns Gives it back. @throws {MezError} `LIMIT_EXCEEDED` */
  admitCall(caller: Caller): () => void {
    this.#spend("calls", caller.credentials.uid, CALLS);
    return this.#take("calls", caller, MAX_CALLS);
  }

  /** A request that goes on to the auth service. @throws {MezError} `LIMIT_EXCEEDED` */
  admitOrder(caller: Caller): void {
    this.#spend("orders", caller.credentials.uid, ORDERS);
  }

  /** A line of the log about a user, -1 for one that is not known. */
  admitLogLine(uid: number): boolean {
    try {
      this.#spend("log lines", uid, LOG_LINES);
      return true;
    } catch {
      return false;
    }
  }

  /** Takes one from the allowance of a user. @throws {MezError} `LIMIT_EXCEEDED` when it is used up */
  #spend(what: string, uid: number, { burst, perSecond }: Rate): void {
    const now = this.clock.now().getTime();
    const key = `${what} ${uid}`;
    const { left, at } = this.#allowances.get(key) ?? { left: burst, at: now };
    const filled = Math.min(burst, left + (Math.max(0, now - at) / 1000) * perSecond);
    if (filled < 1) throw exceeded(`user ${uid} makes more than ${perSecond} ${what} a second`);
    this.#allowances.set(key, { left: filled - 1, at: now });
  }

  #take(what: string, { credentials, processKey }: Caller, { process, user }: Most): () => void {
    const [ofProcess, ofUser] = [`${what} of ${processKey}`, `${what} of user ${credentials.uid}`];
    if (this.#count(ofProcess) >= process) throw exceeded(`process ${credentials.pid} has ${process} ${what} open`);
    if (this.#count(ofUser) >= user) throw exceeded(`user ${credentials.uid} has ${user} ${what} open`);
    const keys = [ofProcess, ofUser];
    for (const key of keys) this.#counts.set(key, this.#count(key) + 1);
    return () => {
      for (const key of keys.splice(0)) {
        const left = this.#count(key) - 1;
        if (left > 0) this.#counts.set(key, left);
        else this.#counts.delete(key);
      }
    };
  }

  #count(key: string): number {
    return this.#counts.get(key) ?? 0;
  }
}

// --- internal ---

interface Most {
  readonly process: number;
  readonly user: number;
}

interface Rate {
  readonly burst: number;
  readonly perSecond: number;
}

const MAX_CONNECTIONS: Most = { process: 16, user: 256 };
const MAX_CALLS: Most = { process: 64, user: 512 };
const CALLS: Rate = { burst: 500, perSecond: 200 };
const ORDERS: Rate = { burst: 100, perSecond: 20 };
const LOG_LINES: Rate = { burst: 10, perSecond: 0.1 };

function exceeded(why: string): MezError {
  return new MezError("LIMIT_EXCEEDED", `too much at once: ${why}`);
}
