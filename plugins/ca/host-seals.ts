import { MezError } from "../../core/errors/error.js";
import type { Database } from "../../core/plugin/database.js";
import { signFile } from "../../core/ssh/file-signature.js";
import type { HostSeals, SealKeys } from "./api.js";
import type { KeyBackedAuthorities } from "./certificate-authorities.js";
import { findFormerKeys } from "./former-key-repository.js";

/** Signs statements with the SSH key of the Host CA that signs now. */
export class HostCaSeals implements HostSeals {
  constructor(
    private readonly database: Database,
    private readonly authorities: Pick<KeyBackedAuthorities, "signing" | "trustBundle">,
  ) {}

  async seal(namespace: string, statement: Buffer): Promise<string> {
    const { ssh } = await this.authorities.signing("host");
    if (ssh === null) throw new MezError("INTERNAL", "the host CA has no SSH key");
    return signFile(ssh, namespace, statement);
  }

  async keys(): Promise<SealKeys> {
    // The former ones last: a key that goes over in between is in both, not in neither.
    const trusted = this.authorities.trustBundle("host").sshPublicKeys;
    return { trusted, former: await this.database.read((em) => findFormerKeys(em, "host")) };
  }
}
