import { hash, randomBytes } from "node:crypto";
import { MezError } from "../../core/errors/error.js";
import type { Transaction } from "../../core/plugin/database.js";
import type { Clock } from "../../core/time/clock.js";
import { type Candidate, findChallenge, insertChallenge, type StoredChallenge, takeChallenge } from "./challenge-repository.js";

/** Who is asked, and from where. */
export interface Asked {
  readonly purpose: "enrolment" | "login";
  readonly userName: string;
  readonly clientAddress: string;
}

/** Asks devices random questions, each of which is answered once. */
export class Challenges {
  constructor(private readonly clock: Clock) {}

  /** @returns The challenge, 32 random bytes. */
  async open(tx: Transaction, { purpose, userName, clientAddress }: Asked, candidate: Candidate | null = null): Promise<Buffer> {
    const challenge = randomBytes(32);
    const createdAt = this.clock.now();
    const expiresAt = new Date(createdAt.getTime() + CHALLENGE_SECONDS * 1000);
    const kept = { hash: hashOf(challenge), purpose, userName, clientAddress, candidate, createdAt, expiresAt };
    await insertChallenge(tx.em, kept);
    return challenge;
  }

  /**
   * What was asked, for the one who was asked.
   * @throws {MezError} `DEVICE_REFUSED` for an unknown, used or expired one, or one of somebody else
   */
  async require(tx: Transaction, challenge: Buffer, { purpose, userName, clientAddress }: Asked): Promise<StoredChallenge> {
    const found = await findChallenge(tx.em, hashOf(challenge));
    const isTheirs = found?.purpose === purpose && found.userName === userName && found.clientAddress === clientAddress;
    if (found === null || !isTheirs || found.expiresAt <= this.clock.now()) throw unanswerable();
    return found;
  }

  /** Uses it up. @throws {MezError} `DEVICE_REFUSED` when it was used meanwhile */
  async take(tx: Transaction, challenge: Pick<StoredChallenge, "hash">): Promise<void> {
    if (!(await takeChallenge(tx.em, challenge.hash))) throw unanswerable();
  }
}

// --- internal ---

/** Longer than a login may wait for a second factor. */
const CHALLENGE_SECONDS = 600;

function hashOf(challenge: Buffer): string {
  return hash("sha256", challenge, "base64url");
}

function unanswerable(): MezError {
  return new MezError("DEVICE_REFUSED", "the device's answer was used before, or comes too late or from elsewhere; try again");
}
