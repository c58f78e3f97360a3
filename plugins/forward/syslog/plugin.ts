import { hostname } from "node:os";
import { MezError } from "../../../core/errors/error.js";
import { definePlugin } from "../../../core/plugin/contract.js";
import { once } from "../../../core/plugin/once.js";
import { AUDIT_FORWARDER } from "../../../core/ports/audit-forwarder.js";
import { overTcp, overTls, StreamTransport } from "./stream-transport.js";
import { parseSyslogAddress, type SyslogAddress } from "./syslog-address.js";
import { SyslogForwarder, type SyslogTransport } from "./syslog-forwarder.js";
import { UdpTransport } from "./udp-transport.js";
import { UnixTransport } from "./unix-transport.js";

interface SyslogConfig {
  readonly address: string;
  readonly facility: string;
  readonly host_name: string;
  readonly ca_file: string;
  readonly certificate_file: string;
  readonly key_file: string;
}

export default definePlugin<SyslogConfig>({
  register(host, config) {
    const address = parseSyslogAddress(`${KEY}.address`, config.address);
    const hasFiles = config.ca_file !== "" || config.certificate_file !== "" || config.key_file !== "";
    if (hasFiles && address.protocol !== "tls")
      throw new MezError("CONFIG_INVALID", `${KEY}: ca_file, certificate_file and key_file go with an address of tls:// only`);
    if ((config.certificate_file === "") !== (config.key_file === ""))
      throw new MezError("CONFIG_INVALID", `${KEY}: certificate_file and key_file go together`);
    const origin = { facility: config.facility, hostName: config.host_name || hostname(), processId: process.pid };
    const forwarder = once(() => new SyslogForwarder(transportTo(address, config), origin));
    host.implement(AUDIT_FORWARDER, "syslog", forwarder);
    host.run(forwarder);
  },
});

// --- internal ---

const KEY = "plugins.forward.syslog.config";

function transportTo(address: SyslogAddress, config: SyslogConfig): SyslogTransport {
  if (address.protocol === "unix") return new UnixTransport(address.path);
  const { protocol, host, port } = address;
  if (protocol === "udp") return new UdpTransport(host, port);
  const place = `${host}:${port}`;
  if (protocol === "tcp") return new StreamTransport(place, overTcp(host, port));
  const files = { caFile: config.ca_file, certificateFile: config.certificate_file, keyFile: config.key_file };
  return new StreamTransport(place, overTls(host, port, files));
}
