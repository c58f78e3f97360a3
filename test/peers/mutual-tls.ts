import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { eventually } from "../fixtures/eventually.js";
import { requirePeer } from "./require-peer.js";

/** What a server shows, and whom it lets in; all PEM. */
export interface MutualTlsFiles {
  readonly certificatePem: string;
  readonly privateKeyPem: string;
  /** Clients must have a certificate of these. */
  readonly authoritiesPem: string;
}

/** A real web server that asks for client certificates, on loopback, in the foreground.. */
export async function startMutualTls(
  program: "nginx" | "haproxy",
  folder: string,
  port: number,
  files: MutualTlsFiles,
): Promise<{ stop(): Promise<void> }> {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const write = (name: string, content: string): string => {
    writeFileSync(join(folder, name), content, { mode: 0o600 });
    return join(folder, name);
  };
  const authorities = write("authorities.pem", files.authoritiesPem);
  const args =
    program === "nginx"
      ? [
          "-c",
          write(
            "nginx.conf",
            nginxConfig(
              folder,
              port,
              write("server.pem", files.certificatePem),
              write("server.key", files.privateKeyPem),
              authorities,
            ),
          ),
        ]
      : [
          "-f",
          write("haproxy.cfg", haproxyConfig(port, write("both.pem", files.certificatePem + files.privateKeyPem), authorities)),
        ];
  const child = spawn(requirePeer(program), args, { stdio: ["ignore", "inherit", "inherit"] });
  const exited = once(child, "exit");
  await eventually(() => answers(port));
  return {
    async stop() {
      child.kill("SIGTERM");
      await exited;
    },
  };
}

// --- internal ---

function nginxConfig(folder: string, port: number, certificate: string, key: string, authorities: string): string {
  const places = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((name) => `${name}_temp_path ${join(folder, name)};`);
  return `daemon off; master_process off; pid ${join(folder, "pid")}; error_log ${join(folder, "log")};
events {}
http {
  access_log off; ${places.join(" ")}
  server {
    listen 127.0.0.1:${port} ssl;
    ssl_certificate ${certificate}; ssl_certificate_key ${key};
    ssl_client_certificate ${authorities}; ssl_verify_client on;
    return 200 "verified: $ssl_client_verify";
  }
}
`;
}

function haproxyConfig(port: number, certificate: string, authorities: string): string {
  return `defaults
  mode http
  timeout client 60s
  timeout server 60s
  timeout connect 60s
frontend f
  bind 127.0.0.1:${port} ssl crt ${certificate} ca-file ${authorities} verify required
  http-request return status 200 content-type text/plain lf-string "verified: %[ssl_c_verify]"
`;
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    const end = (answer: boolean): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.once("connect", () => end(true)).once("error", () => end(false));
  });
}
