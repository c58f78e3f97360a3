import type { Caller } from "../../core/plugin/caller.js";
import type { Database } from "../../core/plugin/database.js";
import type { LoginDemands, LoginSteps } from "./login-steps.js";

export interface CertificateStepsRequest {
  /** OpenSSH wire form, empty for none. */
  readonly sshPublicKey: Buffer;
  /** SubjectPublicKeyInfo, DER, empty for none. */
  readonly x509PublicKey: Buffer;
  readonly answers: ReadonlyMap<string, Buffer>;
}

/** What stands between a login at a device and its certificates: the device speaks for each of their keys. */
export class CertificateSteps {
  constructor(
    private readonly database: Database,
    private readonly steps: LoginSteps,
  ) {}

  /**
   * @returns What the client has to do first; empty when nothing is left.
   * @throws {MezError} what a step says to a wrong answer; it is audited
   */
  async take(
    person: Caller & { readonly kind: "user" },
    { sshPublicKey, x509PublicKey, answers }: CertificateStepsRequest,
    clientAddress: string,
  ): Promise<LoginDemands> {
    if (person.device === undefined) return [];
    const { name: userName, roles: userRoles, sessionId, device } = person;
    const order = { userName, userRoles, clientAddress, sessionId, device, publicKeys: [sshPublicKey, x509PublicKey] };
    const taking = this.database.transaction(async (tx) => (await this.steps.takeOrder(tx, order, answers)).demands);
    return taking.catch(async (error: unknown) => {
      if (this.steps.isRefusal(error)) await this.steps.auditRefusal(error);
      throw error;
    });
  }
}
