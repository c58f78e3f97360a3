import { findFactors } from "./factor-repository.js";
import { beginTotp, type MfaHandlers, resultToMessage } from "./mfa-handlers.js";
import { kindsFor, kindToMessage } from "./mfa-message.js";
import type { MfaRpcParts } from "./mfa-rpc.js";
import { type RelyingParty, relyingParty } from "./webauthn.js";

type PageCalls =
  | ("describeLink" | "beginWebAuthnLogin" | "finishWebAuthnLogin" | "beginWebAuthnEnrolment" | "finishWebAuthnEnrolment")
  | ("beginTotpOnPage" | "finishTotpOnPage" | "announceWebAddress");

/** Answers the proxy, which shows the page of a ceremony's link. */
export function pageHandlers({
  database,
  ceremonies,
  enrolment,
  webAuthn,
  webAddress,
  clusterName,
  rpId,
}: MfaRpcParts): Pick<MfaHandlers, PageCalls> {
  const party = (origin: string): RelyingParty => relyingParty(origin, rpId, clusterName);
  return {
    async describeLink({ link }, call) {
      const { ceremony, known } = await database.read(async (em) => {
        const found = await ceremonies.require(em, "link", link, call);
        return { ceremony: found, known: await findFactors(em, found.userName) };
      });
      const { userName, purpose, clientAddress, checkCode, mayEnrol, provenKind } = ceremony;
      const kinds = kindsFor(ceremony, known).map(kindToMessage);
      return {
        userName,
        purpose,
        clientAddress,
        checkCode,
        kinds,
        mustEnrol: mayEnrol,
        isDone: provenKind !== null,
        clusterName,
      };
    },
    async beginWebAuthnLogin({ link, origin }, call) {
      return { json: await webAuthn.begin(link, party(origin), call) };
    },
    async finishWebAuthnLogin({ link, origin, json }, call) {
      return { kind: kindToMessage(await webAuthn.finish(link, json, party(origin), call)) };
    },
    async beginWebAuthnEnrolment({ link, origin }, call) {
      return { json: await enrolment.beginWebAuthn({ token: "link", secret: link }, party(origin), call) };
    },
    async finishWebAuthnEnrolment({ link, origin, json, name }, call) {
      const by = { token: "link", secret: link } as const;
      return resultToMessage(await enrolment.finishWebAuthn(by, { json, name }, party(origin), call));
    },
    async beginTotpOnPage({ token }, call) {
      return beginTotp(enrolment, { token: "link", secret: token }, call);
    },
    async finishTotpOnPage({ token, code, name }, call) {
      return resultToMessage(await enrolment.finishTotp({ token: "link", secret: token }, code, name, call));
    },
    async announceWebAddress({ address }) {
      await webAddress.announce(address);
      return {};
    },
  };
}
