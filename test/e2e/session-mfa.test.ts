import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { Browser } from "playwright-core";
import { AuthenticatorApp } from "../fixtures/authenticator-app.js";
import { BrowserPage, launchBrowser } from "../fixtures/browser.js";
import { Cluster } from "../fixtures/cluster.js";
import { eventually } from "../fixtures/eventually.js";
import { Sshd } from "../fixtures/sshd.js";
import { TypedProgram } from "../fixtures/typed-program.js";
import { needsPeers } from "../peers/require-peer.js";

/** What a plain OpenSSH client prints for the question. */
const QUESTION = /Code of your authenticator app: $/;

describe("a second factor for each session, with OpenSSH", needsPeers("ssh", "sshd", "oathtool", "chromium"), () => {
  let cluster: Cluster;
  let sshd: Sshd;
  let target: string;
  let browser: Browser;
  const programs: TypedProgram[] = [];
  before(async () => {
    cluster = await Cluster.start({ node: "apart", proxy: "apart" });
    sshd = await Sshd.start(cluster.mezctlOk(["ca", "export", "--type=user"]));
    const address = ["--host=127.0.0.1", `--port=${sshd.port}`, `--host-key-file=${sshd.path("host.pub")}`];
    cluster.mezctlOk(["nodes", "add", "--openssh", "--name=db-01", "--labels=env=test", ...address]);
    await cluster.startNode("free-01", ["--labels=env=free"]);
    target = `${cluster.login}@${cluster.nodeName}`;
    createRole("guarded", { env: "test" }, "totp");
    createRole("keyed", { env: "test" }, "hardware_key");
    createRole("open", { env: "free" }, "");
    browser = await launchBrowser();
  });
  after(async () => {
    for (const program of programs) program.kill();
    await browser?.close();
    await cluster?.stop();
    await sshd?.stop();
  });

  function createRole(name: string, labels: Readonly<Record<string, string>>, mfa: string): void {
    cluster.createRole(name, { require_session_mfa: mfa }, { node_labels: labels });
  }

  function typed(program: string, args: readonly string[], home: string): TypedProgram {
    const running = new TypedProgram(program, args, cluster.environment({ home }));
    programs.push(running);
    return running;
  }

  /** OpenSSH as people run it: at a terminal, with the configuration that a login leaves. */
  function ssh(args: readonly string[], home: string): TypedProgram {
    return typed("ssh", ["-F", cluster.sshConfig({ home }), ...args], home);
  }

  async function addApp(home: string): Promise<AuthenticatorApp> {
    const adding = typed(process.execPath, [cluster.programs.msh, "mfa", "add"], home);
    const [, key = ""] = await adding.printed(/type the key in: ([A-Z2-7 ]{39})/);
    const app = new AuthenticatorApp(key.replaceAll(" ", ""));
    await adding.answer(/Code that the app shows: $/, await app.code());
    assert.equal(await adding.ended(), 0, adding.screen);
    return app;
  }

  async function addKey(home: string): Promise<BrowserPage> {
    const page = await BrowserPage.open(browser, { transport: "usb" });
    const adding = typed(process.execPath, [cluster.programs.msh, "mfa", "add", "--type=webauthn"], home);
    await page.visit((await adding.printed(/https:\/\/localhost:\d+\/mfa#[A-Za-z0-9_-]{43}/))[0]);
    await page.page.getByRole("button", { name: "Add a passkey or security key" }).click();
    assert.equal(await adding.ended(), 0, adding.screen);
    return page;
  }

  test("asks a plain ssh for a code, takes it once, and lets the session in with the right one", async () => {
    const home = cluster.person("alice", ["--roles=guarded"]);
    const app = await addApp(home);
    const session = ssh([target, "echo inside"], home);
    await session.printed(/A session of alice needs a second factor\./);
    const code = await app.code();
    await session.answer(QUESTION, "000000");
    await session.printed(/the code is wrong/);
    await session.answer(QUESTION, code);
    await session.printed(/inside/);
    assert.equal(await session.ended(), 0, session.screen);
    const replayed = ssh([target, "echo inside"], home);
    await replayed.answer(QUESTION, code);
    await replayed.printed(/this code was used already; wait for the next one/);
    replayed.kill();
    assert.doesNotMatch(replayed.screen, /inside/);
  });

  test("a code of a login opens no session", async () => {
    const home = cluster.person("abel", ["--roles=guarded"]);
    const app = await addApp(home);
    const code = await app.code();
    cluster.mshOk(["login", "--user=abel", "--password-stdin"], {
      home,
      input: "password of abel 1\n",
      env: { MEZITE_OTP: code },
    });
    const session = ssh([target, "echo inside"], home);
    await session.answer(QUESTION, code);
    await session.printed(/this code was used already/);
    session.kill();
  });

  test("one answer is one session, also when a client keeps its connection to the proxy", async () => {
    const home = cluster.person("anna", ["--roles=guarded"]);
    const app = await addApp(home);
    const proxy = `mezite-proxy.test`;
    const control = ["-o", `ControlPath=${join(home, "control")}`];
    const master = ssh([...control, "-M", "-N", proxy], home);
    await master.answer(QUESTION, await app.code());
    const through = (): ReturnType<Cluster["ssh"]> => {
      const jump = `ssh -F ${cluster.sshConfig({ home })} ${control.join(" ")} -W %h:%p ${proxy}`;
      return cluster.ssh(["-o", "ProxyUseFdpass=no", "-o", `ProxyCommand=${jump}`, target, "echo inside"], { home });
    };
    await master.connected(join(home, "control"));
    const [first, second] = [through(), through()];
    assert.deepEqual([first.code, first.stdout], [0, "inside\n"], first.stderr);
    assert.notEqual(second.code, 0);
    await master.printed(
      /asks for a second factor \(totp\) for each session; this connection has used its own up; open a new one/,
    );
  });

  test("somebody who reaches no node that asks is not asked, whatever a role demands elsewhere", async () => {
    createRole("elsewhere", { env: "nowhere" }, "totp");
    const home = cluster.person("cleo", ["--roles=open,elsewhere"]);
    await addApp(home);
    const script = cluster.ssh(["-o", "BatchMode=yes", `${cluster.login}@free-01`, "echo inside"], { home });
    assert.deepEqual([script.code, script.stdout], [0, "inside\n"], script.stderr);
  });

  test("a script that cannot answer is refused, and so is somebody without a factor, who is told what to do", async () => {
    const home = cluster.person("bert", ["--roles=guarded,open"]);
    const refused = cluster.ssh([target, "echo inside"], { home });
    assert.notEqual(refused.code, 0);
    assert.match(
      refused.stderr,
      /web-01 asks for a second factor \(totp\) for each session; bert has none that would do; add one: msh mfa add/,
    );
    const elsewhere = cluster.ssh([`${cluster.login}@free-01`, "echo inside"], { home });
    assert.deepEqual([elsewhere.code, elsewhere.stdout], [0, "inside\n"], elsewhere.stderr);
    await eventually(() => {
      const denied = cluster.mezctlOk(["audit", "ls", "--type=access.denied", "--user=bert", "--format=json"]);
      return /asks for a second factor/.test((JSON.parse(denied) as { error_message: string }[])[0]?.error_message ?? "");
    });
  });

  test("another person's certificate inside of the connection gets nothing from the factor", async () => {
    const homes = [cluster.person("cora", ["--roles=guarded"]), cluster.person("dave", ["--roles=guarded"])] as const;
    const app = await addApp(homes[0]);
    const jump = `ssh -F ${cluster.sshConfig({ home: homes[0] })} -W %h:%p mezite-proxy.test`;
    const inner = ssh(["-o", "ProxyUseFdpass=no", "-o", `ProxyCommand=${jump}`, target, "echo inside"], homes[1]);
    await inner.answer(QUESTION, await app.code());
    await inner.printed(/web-01 asks for a second factor \(totp\) for each session/);
    assert.notEqual(await inner.ended(), 0);
    assert.doesNotMatch(inner.screen, /inside/);
  });

  test("a key is used on a page, whose link ssh prints, and the session that waits goes on", async () => {
    const home = cluster.person("erin", ["--roles=keyed"]);
    const key = await addKey(home);
    const session = ssh([target, "echo inside"], home);
    const [link] = await session.printed(/https:\/\/localhost:\d+\/mfa#[A-Za-z0-9_-]{43}/);
    const [, checkCode = ""] = await session.printed(/it shows (\d{4})/);
    await key.visit(link);
    await key.page.getByText("erin opens an SSH session from").waitFor();
    assert.equal(await key.page.locator("#check").textContent(), checkCode);
    await key.page.getByRole("button", { name: "Use passkey or security key" }).click();
    await session.printed(/inside/);
    assert.equal(await session.ended(), 0, session.screen);
    await key.visit(link);
    await key.page.getByText("this link was used already, or has run out; begin again").waitFor();
  });

  test("a node without an agent is reached with a factor, and not without", async () => {
    const home = cluster.person("dora", ["--roles=guarded"]);
    const without = cluster.ssh([`${cluster.login}@db-01`, "echo inside"], { home });
    assert.notEqual(without.code, 0);
    assert.match(without.stderr, /db-01 asks for a second factor \(totp\) for each session; dora has none that would do/);
    const app = await addApp(home);
    const session = ssh([`${cluster.login}@db-01`, "echo inside"], home);
    await session.answer(QUESTION, await app.code());
    await session.printed(/inside/);
    assert.equal(await session.ended(), 0, session.screen);
  });

  test("a code is not enough where a role demands a hardware key", async () => {
    const home = cluster.person("fay", ["--roles=keyed"]);
    const app = await addApp(home);
    const session = ssh([target, "echo inside"], home);
    await session.answer(QUESTION, await app.code());
    await session.printed(/asks for a second factor \(hardware_key\) for each session/);
    assert.notEqual(await session.ended(), 0);
  });

  test("msh ssh asks as ssh does, and who left before answering leaves nothing behind", async () => {
    const home = cluster.person("gina", ["--roles=guarded"]);
    const app = await addApp(home);
    const left = ssh([target, "echo inside"], home);
    await left.printed(QUESTION);
    left.kill();
    const session = typed(process.execPath, [cluster.programs.msh, "ssh", target, "echo", "inside"], home);
    await session.answer(QUESTION, await app.code());
    await session.printed(/inside/);
    assert.equal(await session.ended(), 0, session.screen);
  });

  test("a role that begins to demand a factor ends the sessions that have none", async () => {
    const home = cluster.person("hugo", ["--roles=open"]);
    const session = ssh([`${cluster.login}@free-01`, "echo inside; sleep 60"], home);
    await session.printed(/inside/);
    createRole("open", { env: "free" }, "totp");
    assert.notEqual(await session.ended(), 0);
    assert.match(session.screen, /asks for a second factor|may no longer reach/);
    createRole("open", { env: "free" }, "");
  });
});
