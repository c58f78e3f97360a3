export interface HangupParts {
  /** Whether the daemon was shown in a terminal that is not there any more. */
  readonly isTerminalGone: () => boolean;
  readonly stop: () => void;
  readonly reload: () => void;
}

/** For SIGHUP: a daemon whose terminal was closed stops, any other reads its configuration again. */
export function hangupListener({ isTerminalGone, stop, reload }: HangupParts): () => void {
  return () => {
    if (isTerminalGone()) return stop();
    reload();
    // Linux sends the signal before it takes the terminal away: the daemon may have been quicker.
    setTimeout(() => {
      if (isTerminalGone()) stop();
    }, LOOK_AGAIN_MS).unref();
  };
}

// --- internal ---

const LOOK_AGAIN_MS = 2_000;
