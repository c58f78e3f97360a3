import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { MezError } from "../../core/errors/error.js";
import type { WebHandlers, WebRequest, WebResponse } from "../../core/plugin/web.js";
import { jsonResponse } from "../../core/plugin/web-response.js";
import type { EnrolmentResult } from "../../proto/gen/mezite/mfa/v1/mfa.js";
import type { MfaClient } from "./ceremony-client.js";
import { mfaPage, PAGE_SCRIPT_PATH, WEBAUTHN_SCRIPT_PATH } from "./page.js";
import { PAGE_SCRIPT } from "./page-script.js";
import { qrPath } from "./qr-code.js";

const POST = { method: "POST", access: "public", accepts: "json" } as const;

/** The page of links and what its script asks for. The link's secret is the credential, so it comes in bodies only. */
export const MFA_ROUTES = {
  page: { method: "GET", path: "/mfa", access: "public" },
  script: { method: "GET", path: PAGE_SCRIPT_PATH, access: "public" },
  library: { method: "GET", path: WEBAUTHN_SCRIPT_PATH, access: "public" },
  describe: { ...POST, path: "/v1/webapi/mfa/describe" },
  loginOptions: { ...POST, path: "/v1/webapi/mfa/login/options" },
  loginFinish: { ...POST, path: "/v1/webapi/mfa/login/finish" },
  passkeyOptions: { ...POST, path: "/v1/webapi/mfa/passkey/options" },
  passkeyFinish: { ...POST, path: "/v1/webapi/mfa/passkey/finish" },
  totpBegin: { ...POST, path: "/v1/webapi/mfa/totp/begin" },
  totpFinish: { ...POST, path: "/v1/webapi/mfa/totp/finish" },
} as const;

/** @param mfa A client under the proxy's identity. */
export function pageHandlers(mfa: () => MfaClient): WebHandlers<typeof MFA_ROUTES> {
  return {
    page: async () => mfaPage(),
    script: async () => scriptResponse(PAGE_SCRIPT),
    library: async () => scriptResponse(await readFile(LIBRARY)),
    async describe(request) {
      const about = await mfa().describeLink({ link: bodyOf(request).link }, { signal: request.signal });
      return jsonResponse({
        user_name: about.userName,
        purpose: about.purpose,
        client_address: about.clientAddress,
        check_code: about.checkCode,
        may_enrol: about.mustEnrol,
        is_done: about.isDone,
        cluster_name: about.clusterName,
      });
    },
    async loginOptions(request) {
      const { json } = await mfa().beginWebAuthnLogin(
        { link: bodyOf(request).link, origin: request.origin },
        { signal: request.signal },
      );
      return jsonResponse({ options: json });
    },
    async loginFinish(request) {
      const { link, answer: json } = bodyOf(request);
      await mfa().finishWebAuthnLogin({ link, origin: request.origin, json, name: "" }, { signal: request.signal });
      return jsonResponse({});
    },
    async passkeyOptions(request) {
      const { json } = await mfa().beginWebAuthnEnrolment(
        { link: bodyOf(request).link, origin: request.origin },
        { signal: request.signal },
      );
      return jsonResponse({ options: json });
    },
    async passkeyFinish(request) {
      const { link, answer: json, name } = bodyOf(request);
      return resultResponse(
        await mfa().finishWebAuthnEnrolment({ link, origin: request.origin, json, name }, { signal: request.signal }),
      );
    },
    async totpBegin(request) {
      const { secret, uri } = await mfa().beginTotpOnPage({ token: bodyOf(request).link }, { signal: request.signal });
      return jsonResponse({ secret, qr: await qrPath(uri) });
    },
    async totpFinish(request) {
      const { link: token, code, name } = bodyOf(request);
      return resultResponse(await mfa().finishTotpOnPage({ token, code, name }, { signal: request.signal }));
    },
  };
}

// --- internal ---

const LIBRARY = join(
  dirname(createRequire(import.meta.url).resolve("@simplewebauthn/browser")),
  "../dist/bundle/index.umd.min.js",
);

type Body = Readonly<Record<"link" | "answer" | "code" | "name", string>>;

/** Absent fields are empty. @throws {MezError} `INVALID_DOCUMENT` */
function bodyOf(request: Pick<WebRequest, "json">): Body {
  const value = request.json() as Readonly<Record<string, unknown>> | null;
  const field = (name: keyof Body): string => {
    const text = typeof value === "object" && value !== null ? value[name] : undefined;
    if (text === undefined) return "";
    if (typeof text !== "string") throw new MezError("INVALID_DOCUMENT", `field "${name}" is no text`);
    return text;
  };
  return { link: field("link"), answer: field("answer"), code: field("code"), name: field("name") };
}

function scriptResponse(body: string | Buffer): WebResponse {
  return { status: 200, contentType: "text/javascript; charset=utf-8", body, cacheSeconds: 3600 };
}

function resultResponse({ factor, recoveryCodes }: EnrolmentResult): WebResponse {
  return jsonResponse({ name: factor?.name ?? "", recovery_codes: recoveryCodes });
}
