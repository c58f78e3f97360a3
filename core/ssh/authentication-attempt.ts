import type { SshCertificate } from "./certificate.js";

/** One question of a client that wants in. */
export type AuthenticationAttempt = PublicKeyAttempt | KeyboardInteractiveAttempt;

export interface PublicKeyAttempt {
  readonly method: "publickey";
  /** Login name that the client asks for. */
  readonly user: string;
  /** The plain key, or the key that is certified. */
  readonly publicKeyBlob: Buffer;
  /** Parsed, not checked: call `checkCertificate`. Null when the client offers a plain key. */
  readonly certificate: SshCertificate | null;
  /**
   * True when the client proved, by a signature that was verified, that it holds the key. When false it only asks
   * whether the key would do: answer as if it were true, but let nobody in the world believe it.
   */
  readonly isProven: boolean;
}

export interface KeyboardInteractiveAttempt {
  readonly method: "keyboard-interactive";
  readonly user: string;
  /** Aborts when the client gives up, goes away or asks something else. */
  readonly signal: AbortSignal;
  /** Asks the person; without questions, the instruction is shown and the client goes on waiting. @throws {MezError} `SSH_AUTHENTICATION_FAILED` when the client gives up or asks something else */
  prompt(
    instruction: string,
    questions: readonly { readonly prompt: string; readonly echo: boolean }[],
  ): Promise<readonly string[]>;
}

/**
 * `reject` is shown to the client as a banner, one line; null says nothing. Say nothing about plain keys: OpenSSH offers
 * the plain key before its certificate, and would print the line although the login works. `isPartial`: good so far,
 * more is needed; `graceMs` is the time that the person has for that, in place of the rest of the usual.
 */
export type AuthenticationDecision<Identity> =
  | { readonly accept: Identity }
  | {
      readonly reject: string | null;
      readonly methods?: readonly string[];
      readonly isPartial?: boolean;
      readonly graceMs?: number;
    };
