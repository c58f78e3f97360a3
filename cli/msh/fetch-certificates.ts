import { MezError } from "../../core/errors/error.js";
import type { CommandContext } from "../../core/plugin/commands.js";
import type { RpcConnection } from "../../core/plugin/rpc.js";
import type { Secret } from "../../core/plugin/secret.js";
import type { TrustDecision } from "../../core/rpc/trust.js";
import { formatCertificate, parseCertificate } from "../../core/ssh/certificate.js";
import {
  AuthenticationServiceService,
  type GetSessionResponse,
  type IssueUserCertsRequest,
  type IssueUserCertsResponse,
} from "../../proto/gen/mezite/authentication/v1/authentication.js";
import { dialTrusted } from "../cluster-connection.js";
import { hostTrustOf } from "./host-trust.js";
import { makeKeys, type NewKeys } from "./new-keys.js";
import { type Credentials, type Profile, parseClusterName, parseUserName } from "./profile.js";
import { proxiesFor } from "./server-addresses.js";

export interface Login {
  readonly user: string;
  readonly authServers: readonly string[];
  readonly token: Secret;
  readonly sessionExpiresAt: Date;
}

/** What a login ends with. */
export interface Certified {
  readonly profile: Profile;
  readonly credentials: Credentials;
  /** Certificates of the Host CA, PEM. */
  readonly authoritiesPem: readonly string[];
  /** Empty, or what the server wants the person to know. */
  readonly notice: string;
}

/** Makes keys here and has their public halves signed. */
export async function fetchCertificates(
  context: CommandContext,
  login: Login,
  decision: TrustDecision,
  ttlSeconds: number | undefined,
): Promise<Certified> {
  const keys = makeKeys(login.user);
  const connection = await dialTrusted(context, login.authServers, decision, login.token);
  try {
    const client = connection.client(AuthenticationServiceService);
    const request = { sshPublicKey: keys.sshPublicKeyBlob, x509PublicKey: keys.tlsPublicKeyDer, ttlSeconds: ttlSeconds ?? 0 };
    const issued = await issueAfterDemands(context, connection, login.user, { ...request, answers: [] });
    const session = await client.getSession({}, { signal: context.signal });
    return {
      profile: profileOf(context, login, issued, session),
      credentials: credentialsOf(login, keys, issued),
      authoritiesPem: issued.hostCaCertificates,
      notice: issued.notice,
    };
  } finally {
    connection.close();
  }
}

// --- internal ---

/** A login that was made at a device gets certificates for keys that the device speaks for. */
async function issueAfterDemands(
  context: CommandContext,
  connection: RpcConnection,
  userName: string,
  request: IssueUserCertsRequest,
): Promise<IssueUserCertsResponse> {
  const client = connection.client(AuthenticationServiceService);
  const issued = await client.issueUserCerts(request, { signal: context.signal });
  if (issued.demands.length === 0) return issued;
  for (const { step, message } of issued.demands) {
    const answer = await context.loginAnswer(step);
    const publicKeys = [Buffer.from(request.sshPublicKey), Buffer.from(request.x509PublicKey)];
    const asked = { message, userName, publicKeys, otp: undefined, serverAuthority: connection.serverAuthority() };
    const demand = { ...asked, client: connection.client.bind(connection) };
    request.answers.push({ step, message: await answer(context, demand) });
  }
  const answered = await client.issueUserCerts(request, { signal: context.signal });
  if (answered.demands.length > 0) throw new MezError("INTERNAL", "the server keeps asking for more; its log may say why");
  return answered;
}

function profileOf(context: CommandContext, login: Login, issued: IssueUserCertsResponse, session: GetSessionResponse): Profile {
  const { proxy } = context.globals;
  return {
    cluster: parseClusterName(issued.clusterName),
    authServers: login.authServers,
    proxies: proxiesFor(typeof proxy === "string" ? proxy : undefined, issued.proxyAddress, login.authServers),
    user: parseUserName(session.userName),
    roles: session.roles,
    logins: issued.logins,
    expiresAt: issued.expiresAt ?? context.now(),
    sessionExpiresAt: login.sessionExpiresAt,
  };
}

function credentialsOf(login: Login, keys: NewKeys, issued: IssueUserCertsResponse): Credentials {
  const certificate = Buffer.from(issued.sshCertificate);
  if (!parseCertificate(certificate).subjectBlob.equals(keys.sshPublicKeyBlob)) {
    throw new MezError("SSH_CERTIFICATE_REFUSED", "the server signed another key than the one that was sent");
  }
  return {
    sessionToken: login.token,
    sshPrivateKey: keys.sshPrivateKey,
    sshPublicKey: keys.sshPublicKey,
    sshCertificate: formatCertificate(certificate, login.user),
    tlsPrivateKeyPem: keys.tlsPrivateKeyPem,
    tlsCertificatePem: issued.x509Certificate,
    ...hostTrustOf(
      issued.clusterName,
      issued.hostCaKeys.map((key) => Buffer.from(key)),
      issued.hostCaCertificates,
    ),
  };
}
