import { createHash, randomBytes } from "node:crypto";
import type { Handle, PKCS11, Template } from "pkcs11js";
import type { KeyAlgorithm } from "../../../core/ports/key-backend.js";
import { algorithmOf, ELLIPTIC_ALGORITHMS, isSignedBy, publicKeyOfPoint } from "./elliptic-key.js";
import { failureOf, TokenError } from "./token-error.js";

/** The keys of a token as one session sees them, each under its CKA_ID of 16 bytes. */
export interface KeyObjects {
  /** @returns SubjectPublicKeyInfo, DER. @throws {TokenError} `unsupported` */
  generate(algorithm: KeyAlgorithm, id: Buffer): Buffer;
  /** As `KeyBackend.sign`. @throws {TokenError} `unknown-key` */
  sign(id: Buffer, data: Buffer): Buffer;
  destroy(id: Buffer): void;
  /** The key may be another object by now, or none. */
  forget(id: Buffer): void;
}

/** Makes and uses keys in a session that is logged in. Object handles are kept: looking for a key costs a way to the token. */
export function makeKeyObjects(library: PKCS11, session: Handle): KeyObjects {
  const known = new Map<string, KnownKey>();

  const find = (kind: number, id: Buffer): readonly Handle[] => {
    library.C_FindObjectsInit(session, [
      { type: CKA_CLASS, value: kind },
      { type: CKA_ID, value: id },
    ]);
    try {
      return library.C_FindObjects(session, 2);
    } finally {
      library.C_FindObjectsFinal(session);
    }
  };

  const attributes = (object: Handle, ...types: readonly number[]): readonly Buffer[] =>
    library
      .C_GetAttributeValue(
        session,
        object,
        types.map((type) => ({ type })),
      )
      .map(({ value }) => Buffer.from(value as Buffer));

  const look = (id: Buffer): KnownKey => {
    const [object, second] = find(CKO_PRIVATE_KEY, id);
    if (object === undefined) {
      // Whoever is not logged in sees no private keys.
      if (library.C_GetSessionInfo(session).state !== CKS_RW_USER_FUNCTIONS) throw new TokenError("lost", "logged out");
      throw new TokenError("unknown-key", "the token has no such key");
    }
    if (second !== undefined) throw new TokenError("failed", "the token has two keys with one CKA_ID");
    const [keyType = Buffer.alloc(0)] = attributes(object, CKA_KEY_TYPE);
    const algorithm = algorithmOf(numberOf(keyType));
    if (algorithm === null) throw new TokenError("unsupported", "the key is of a type that is not made here");
    return { object, algorithm };
  };

  const signWith = ({ object, algorithm }: KnownKey, data: Buffer): Buffer => {
    const input = algorithm === "ed25519" ? data : createHash("sha256").update(data).digest();
    library.C_SignInit(session, { mechanism: ELLIPTIC_ALGORITHMS[algorithm].signMechanism }, object);
    return Buffer.from(library.C_Sign(session, input, Buffer.alloc(SIGNATURE_BYTES)));
  };

  const makePair = (algorithm: KeyAlgorithm, id: Buffer) => {
    const { generateMechanism: mechanism, parameters } = ELLIPTIC_ALGORITHMS[algorithm];
    let refusal: unknown = null;
    for (const value of parameters) {
      try {
        const publicTemplate = [...commonTemplate(id), { type: CKA_EC_PARAMS, value }, { type: CKA_VERIFY, value: true }];
        return library.C_GenerateKeyPair(session, { mechanism }, publicTemplate, privateTemplate(id));
      } catch (error) {
        if (!isAboutTemplate(error)) throw error;
        refusal = error;
      }
    }
    throw new TokenError("unsupported", `the token makes no ${algorithm} keys (${failureOf(refusal).message})`);
  };

  const destroyAll = (id: Buffer): void => {
    known.delete(id.toString("hex"));
    for (const kind of [CKO_PRIVATE_KEY, CKO_PUBLIC_KEY])
      for (const object of find(kind, id)) library.C_DestroyObject(session, object);
  };

  return {
    generate(algorithm, id) {
      const { privateKey: object, publicKey } = makePair(algorithm, id);
      try {
        const flags = attributes(object, CKA_SENSITIVE, CKA_EXTRACTABLE).map((value) => value[0]);
        if (flags[0] !== 1 || flags[1] !== 0) throw new TokenError("unsupported", "the token would give the private key out");
        const [point = Buffer.alloc(0)] = attributes(publicKey, CKA_EC_POINT);
        const publicKeyDer = publicKeyOfPoint(algorithm, point);
        const text = randomBytes(32);
        if (!isSignedBy(algorithm, publicKeyDer, text, signWith({ object, algorithm }, text)))
          throw new TokenError("unsupported", `the token's ${algorithm} signatures do not verify`);
        known.set(id.toString("hex"), { object, algorithm });
        return publicKeyDer;
      } catch (error) {
        destroyAll(id);
        throw error;
      }
    },
    sign(id, data) {
      const name = id.toString("hex");
      const key = known.get(name) ?? look(id);
      known.set(name, key);
      return signWith(key, data);
    },
    destroy: destroyAll,
    forget: (id) => void known.delete(id.toString("hex")),
  };
}

// --- internal ---

interface KnownKey {
  readonly object: Handle;
  readonly algorithm: KeyAlgorithm;
}

const SIGNATURE_BYTES = 64;
const LABEL = "mezite-ca";

// PKCS #11 3.0, pkcs11t.h
const CKO_PUBLIC_KEY = 0x2;
const CKO_PRIVATE_KEY = 0x3;
const CKS_RW_USER_FUNCTIONS = 3;
const CKA_CLASS = 0x0;
const CKA_TOKEN = 0x1;
const CKA_PRIVATE = 0x2;
const CKA_LABEL = 0x3;
const CKA_KEY_TYPE = 0x100;
const CKA_ID = 0x102;
const CKA_SENSITIVE = 0x103;
const CKA_SIGN = 0x108;
const CKA_VERIFY = 0x10a;
const CKA_EXTRACTABLE = 0x162;
const CKA_EC_PARAMS = 0x180;
const CKA_EC_POINT = 0x181;

/** Outlives the session. */
function commonTemplate(id: Buffer): Template {
  return [
    { type: CKA_TOKEN, value: true },
    { type: CKA_ID, value: id },
    { type: CKA_LABEL, value: LABEL },
  ];
}

function privateTemplate(id: Buffer): Template {
  return [
    ...commonTemplate(id),
    { type: CKA_PRIVATE, value: true },
    { type: CKA_SENSITIVE, value: true },
    { type: CKA_EXTRACTABLE, value: false },
    { type: CKA_SIGN, value: true },
  ];
}

/** CKR_ATTRIBUTE_TYPE_INVALID, ATTRIBUTE_VALUE_INVALID, CURVE_NOT_SUPPORTED, DOMAIN_PARAMS_INVALID, TEMPLATE_INCONSISTENT, MECHANISM_INVALID */
function isAboutTemplate(error: unknown): boolean {
  const code = error instanceof Error && "code" in error ? error.code : null;
  return typeof code === "number" && [0x12, 0x13, 0x140, 0x130, 0xd1, 0x70].includes(code);
}

/** CK_ULONG, in the byte order of the machine. */
function numberOf(bytes: Buffer): number {
  if (bytes.length === 8) return Number(bytes.readBigUInt64LE());
  return bytes.length === 4 ? bytes.readUInt32LE() : -1;
}
