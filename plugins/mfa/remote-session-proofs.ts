import { MezError } from "../../core/errors/error.js";
import { type Ceremony, FactorKind } from "../../proto/gen/mezite/mfa/v1/mfa.js";
import type { SessionProof, SessionProofRequest, SessionProofs } from "./api.js";
import type { MfaClient } from "./ceremony-client.js";
import { kindFromMessage, kindToMessage } from "./mfa-message.js";

/** Has the auth service check second factors of sessions, so that a code is taken once in the whole cluster. */
export class RemoteSessionProofs implements SessionProofs {
  constructor(private readonly mfa: () => MfaClient) {}

  async begin({ user: userName, clientAddress, kind }: SessionProofRequest): Promise<SessionProof> {
    const request = { userName, clientAddress, kind: kindToMessage(kind) };
    return new RemoteSessionProof(await this.mfa().beginSessionProof(request), userName, this.mfa);
  }
}

// --- internal ---

class RemoteSessionProof implements SessionProof {
  readonly takesCode: boolean;
  readonly link: string | null;
  readonly checkCode: string;

  constructor(
    private readonly ceremony: Ceremony,
    private readonly userName: string,
    private readonly mfa: () => MfaClient,
  ) {
    this.takesCode = ceremony.kinds.includes(FactorKind.FACTOR_KIND_TOTP);
    this.link = ceremony.link === "" ? null : ceremony.link;
    this.checkCode = ceremony.checkCode;
  }

  async answer(code: string): Promise<void> {
    await this.mfa().answerSessionProof({ holder: this.ceremony.holder, code });
  }

  async done(signal: AbortSignal): Promise<void> {
    for (;;) {
      signal.throwIfAborted();
      if ((await this.mfa().waitForSessionProof({ holder: this.ceremony.holder }, { signal })).isDone) return;
    }
  }

  async use(): Promise<"totp" | "webauthn" | "hardware_key"> {
    const { userName, kind } = await this.mfa().finishSessionProof({ holder: this.ceremony.holder });
    const proven = kindFromMessage(kind);
    if (proven === null || proven === "recovery_code" || userName !== this.userName)
      throw new MezError("MFA_EXPIRED", "the second factor is of another kind or person");
    return proven;
  }
}
