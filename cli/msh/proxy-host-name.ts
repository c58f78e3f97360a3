/** The name of the jump host in the OpenSSH configuration. No node can have it: a node's name comes before the cluster's. */
export function proxyHostName(cluster: string): string {
  return `mezite-proxy.${cluster}`;
}
