import { setTimeout as delay } from "node:timers/promises";
import type { CommandContext } from "../../core/plugin/commands.js";
import type { AnsweredMemory } from "../../core/plugin/dialer.js";
import { AnsweredAddress } from "../answered-address.js";
import { meziteFolder } from "../cluster-connection.js";
import { ProfileStore } from "./profile-store.js";
import { speaksSsh } from "./speaks-ssh.js";

/** One proxy of several, as ssh asks for each in turn. */
export interface ProxyQuestion {
  readonly address: string;
  /** Those that ssh takes when this one is not taken. */
  readonly later: readonly string[];
  readonly answered: AnsweredMemory;
  readonly signal: AbortSignal;
  /** Default: see `speaksSsh`. */
  readonly speaks?: (address: string, signal: AbortSignal) => Promise<boolean>;
}

/** What ssh asks for each proxy of a login but the last; see `formatSshConfig`. */
export async function isProxyToTake(context: CommandContext, address: string): Promise<boolean> {
  const meziteHome = meziteFolder(context);
  const proxies = proxiesWith(meziteHome, address);
  const later = proxies.slice(proxies.indexOf(address) + 1);
  return isToTake({ address, later, answered: new AnsweredAddress(meziteHome, proxies), signal: context.signal });
}

/**
 * Whether ssh takes this proxy: it answers, and no later one did while it was silent. The one that answered last time is asked at
 * once, the others after half a second; this one is ahead as long as it is hardly slower.
 */
export async function isToTake({ address, later, answered, signal, speaks = speaksSsh }: ProxyQuestion): Promise<boolean> {
  const over = new AbortController();
  const until = AbortSignal.any([signal, over.signal]);
  const last = answered.last();
  const other = async (each: string, after: Promise<unknown>): Promise<string> => {
    await after;
    if (until.aborted || !(await speaks(each, until))) throw new Error("silent");
    await delay(AHEAD_MS, undefined, { signal: until });
    return each;
  };
  const silence = delay(SILENT_MS, undefined, { signal: until });
  silence.catch(() => {});
  const others = later.map((each) => other(each, each === last ? Promise.resolve() : silence));
  const own = speaks(address, until).then((answers) => (answers ? address : null));
  try {
    const instead = Promise.any(others).catch(() => own);
    const found = await Promise.race([own, instead]);
    if (found !== null) answered.note(found);
    return found === address;
  } finally {
    over.abort();
  }
}

// --- internal ---

/** How long a proxy may be silent before later ones are asked. */
const SILENT_MS = 500;
/** How much faster a later one has to be. */
const AHEAD_MS = 100;

/** The proxies of the login that has this one; it alone when none has. */
function proxiesWith(meziteHome: string, address: string): readonly string[] {
  const profile = new ProfileStore(meziteHome).all().find(({ proxies }) => proxies.includes(address));
  return profile?.proxies ?? [address];
}
