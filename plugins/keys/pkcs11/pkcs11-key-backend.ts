import { randomBytes } from "node:crypto";
import { MezError } from "../../../core/errors/error.js";
import type { BackendKey, KeyAlgorithm, KeyBackend } from "../../../core/ports/key-backend.js";
import { formatKeyUri, parseKeyUri } from "./key-uri.js";
import type { KeyRequest } from "./session-pool.js";

const ID_BYTES = 16;

/** What the backend needs of the sessions of a token. */
export interface Token {
  readonly label: string;
  run(request: KeyRequest): Promise<Uint8Array | null>;
}

/** Makes and uses keys inside of tokens; they cannot be taken out. A handle is a PKCS #11 URI. */
export class Pkcs11KeyBackend implements KeyBackend {
  /** @param tokens New keys are made in the first. */
  constructor(private readonly tokens: readonly Token[]) {}

  async generate(algorithm: KeyAlgorithm): Promise<BackendKey> {
    const id = randomBytes(ID_BYTES).toString("hex");
    const [home] = this.tokens;
    if (home === undefined) throw new MezError("KEY_BACKEND_REFUSED", "there is no token to make keys in");
    const publicKeyDer = await home.run({ kind: "generate", algorithm, id });
    return { handle: formatKeyUri({ token: home.label, id }), algorithm, publicKeyDer: bytesOf(publicKeyDer) };
  }

  async sign(handle: string, data: Buffer): Promise<Buffer> {
    if (data.length === 0) throw new MezError("INVALID_ARGUMENT", "there is nothing to sign");
    const place = parseKeyUri(handle);
    if (place === null) throw new MezError("NOT_FOUND", "there is no key under this handle in a token");
    return bytesOf(await this.#token(place.token).run({ kind: "sign", id: place.id, data }));
  }

  async destroy(handle: string): Promise<void> {
    const place = parseKeyUri(handle);
    if (place !== null) await this.#token(place.token).run({ kind: "destroy", id: place.id });
  }

  #token(label: string): Token {
    const token = this.tokens.find((each) => each.label === label);
    if (token !== undefined) return token;
    throw new MezError(
      "KEY_BACKEND_REFUSED",
      `a key is in token "${label}", which the configuration does not name; set plugins.keys.pkcs11.config.former_token`,
    );
  }
}

// --- internal ---

function bytesOf(value: Uint8Array | null): Buffer {
  if (value === null) throw new MezError("KEY_BACKEND_UNAVAILABLE", "the token answered with nothing; try again");
  return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
}
