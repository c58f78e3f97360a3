/** Variables of OpenSSL and Node that the launcher sets or clears for this program alone, and the names under which it keeps the person's. */
const REPLACED = [
  ["SSL_CERT_FILE", "MSH_SSL_CERT_FILE"],
  ["SSL_CERT_DIR", "MSH_SSL_CERT_DIR"],
  ["NODE_EXTRA_CA_CERTS", "MSH_NODE_EXTRA_CA_CERTS"],
] as const;

/** The environment as ssh gave it to `msh __connect`, for programs that this one starts. */
export function personEnvironment(env: NodeJS.ProcessEnv = process.env): NodeJS.ProcessEnv {
  const own = { ...env };
  for (const [name, kept] of REPLACED) {
    delete own[name];
    if (own[kept] !== undefined) own[name] = own[kept];
    delete own[kept];
  }
  return own;
}
