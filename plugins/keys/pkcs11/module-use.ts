import { settledWithin } from "./settled-within.js";

/**
 * The use of one PKCS #11 module by this process. Its state belongs to the process and not to a thread or a pool: whoever
 * comes first initializes it, logins hold for all sessions, and the last who goes finalizes it.
 */
export interface ModuleUse {
  readonly path: string;
  /** Does `work` when nobody else is in here: opening sessions and logging in. Goes on after `timeoutMs` without an end of it. */
  inTurn<T>(work: () => Promise<T>, timeoutMs: number): Promise<T>;
  /** Ends the use; when it is the last, `finalize` is called. */
  release(finalize: () => Promise<void>, timeoutMs: number): Promise<void>;
}

/** Begins to use a module. @param path Its real path. */
export function useModule(path: string): ModuleUse {
  const state = modules.get(path) ?? { users: 0, turn: Promise.resolve() };
  modules.set(path, state);
  state.users += 1;

  const inTurn = <T>(work: () => Promise<T>, timeoutMs: number): Promise<T> => {
    const mine = state.turn.then(work);
    state.turn = settledWithin(mine, timeoutMs);
    return mine;
  };
  return {
    path,
    inTurn,
    release: (finalize, timeoutMs) =>
      inTurn(async () => {
        state.users -= 1;
        if (state.users > 0) return;
        modules.delete(path);
        await finalize();
      }, timeoutMs),
  };
}

// --- internal ---

interface ModuleState {
  users: number;
  turn: Promise<unknown>;
}

const modules = new Map<string, ModuleState>();
