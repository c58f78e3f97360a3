import type { HostCredentials, HostIdentity } from "../../core/plugin/host-identity.js";
import { parsePrivateKey } from "../../core/ssh/private-key.js";
import type { SshHostKey } from "../../core/ssh/server.js";

/** The SSH host key of an identity with its certificate. */
export class HostKeyRing {
  #credentials: HostCredentials | null = null;
  #keys: readonly SshHostKey[] = [];

  constructor(private readonly identity: HostIdentity) {}

  /** The same array until the certificate is renewed. */
  current(): readonly SshHostKey[] {
    const credentials = this.identity.current();
    if (credentials !== this.#credentials) {
      const key = parsePrivateKey(credentials.sshPrivateKey.expose());
      this.#keys = [{ key, certificateBlob: credentials.sshCertificate }];
      this.#credentials = credentials;
    }
    return this.#keys;
  }
}
