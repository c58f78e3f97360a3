import { parentPort } from "node:worker_threads";
import type { PKCS11 } from "pkcs11js";
import { messageOf } from "../../../core/errors/error.js";
import { failureOf, TokenError } from "./token-error.js";
import type { TokenAnswer, TokenMessage, TokenRequest } from "./token-message.js";
import { TokenSession } from "./token-session.js";

// The program of a thread that holds one session. Requests come one after the other, each has one answer.

const port = parentPort;
if (port === null) throw new Error("this is the program of a worker thread");

let loaded: { readonly library: PKCS11; readonly session: TokenSession } | null = null;

port.on("message", ({ request, forget }: TokenMessage) => {
  for (const id of forget) loaded?.session.forget(Buffer.from(id, "hex"));
  void carryOut(request)
    .then((value): TokenAnswer => ({ value }))
    .catch((error: unknown): TokenAnswer => ({ failure: failureOf(error) }))
    .then((answer) => port.postMessage(answer));
});

// --- internal ---

async function carryOut(request: TokenRequest): Promise<Uint8Array | null> {
  if ("module" in request) loaded ??= await load(request.module);
  if (loaded === null) throw new TokenError("lost", "there is no session");
  const { library, session } = loaded;
  switch (request.kind) {
    case "open":
      session.open(request.label, request.pin);
      return null;
    case "generate":
      return session.generate(request.algorithm, idOf(request));
    case "sign":
      return session.sign(idOf(request), Buffer.from(request.data));
    case "destroy":
      session.destroy(idOf(request));
      return null;
    case "close":
      session.close();
      return null;
    case "finalize":
      library.C_Finalize();
      return null;
  }
}

async function load(path: string): Promise<NonNullable<typeof loaded>> {
  const { default: pkcs11 } = await import("pkcs11js").catch((error: unknown) => {
    throw new TokenError("refused", `${NATIVE_MISSING} (${messageOf(error).split("\n")[0]})`);
  });
  const library = new pkcs11.PKCS11();
  try {
    library.load(path);
  } catch (error) {
    throw new TokenError("refused", `the module cannot be loaded: ${messageOf(error)}`);
  }
  return { library, session: new TokenSession(library) };
}

function idOf({ id }: { readonly id: string }): Buffer {
  return Buffer.from(id, "hex");
}

const NATIVE_MISSING =
  "the native part of pkcs11js is not built here: install make, python3 and a C++ compiler, then run npm run build, or npm rebuild pkcs11js where mezite was installed from a package";
