import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { Browser } from "playwright-core";
import { AuthenticatorApp } from "../fixtures/authenticator-app.js";
import { BrowserPage, launchBrowser } from "../fixtures/browser.js";
import { Cluster } from "../fixtures/cluster.js";
import { TypedProgram } from "../fixtures/typed-program.js";
import { needsPeers } from "../peers/require-peer.js";

describe("passkeys and security keys, in Chromium", needsPeers("chromium", "oathtool", "ssh"), () => {
  let cluster: Cluster;
  let browser: Browser;
  let key: BrowserPage;
  let home: string;
  const programs: TypedProgram[] = [];
  before(async () => {
    cluster = await Cluster.start({ node: "none" });
    home = cluster.person("alice", ["--roles=access"]);
    browser = await launchBrowser();
    key = await BrowserPage.open(browser, { transport: "usb" });
  });
  after(async () => {
    for (const program of programs) program.kill();
    await browser?.close();
    await cluster?.stop();
  });

  function typed(binary: "msh" | "mezctl", args: readonly string[]): TypedProgram {
    const program = new TypedProgram(process.execPath, [cluster.programs[binary], ...args], cluster.environment({ home }));
    programs.push(program);
    return program;
  }

  async function linkIn(program: TypedProgram): Promise<{ readonly link: string; readonly checkCode: string }> {
    const [link] = await program.printed(/https:\/\/localhost:\d+\/mfa#[A-Za-z0-9_-]{43}/);
    const [, checkCode = ""] = await program.printed(/shows (?:the number )?(\d{4})/);
    return { link, checkCode };
  }

  async function logIn(): Promise<{ readonly program: TypedProgram; readonly link: string }> {
    const program = typed("msh", ["login", "--user=alice"]);
    await program.answer(/Password of alice.*: $/, "password of alice 1");
    const { link, checkCode } = await linkIn(program);
    await key.visit(link);
    await key.page.getByText(`shows the number ${checkCode}`).waitFor();
    return { program, link };
  }

  test("msh mfa add prints a link, with which the browser adds a key once", async () => {
    const adding = typed("msh", ["mfa", "add", "--type=webauthn", "--name=blue key"]);
    const { link, checkCode } = await linkIn(adding);
    await key.visit(link);
    await key.page.getByText("alice adds a second factor from 127.0.0.1").or(key.page.getByText("from ::1")).waitFor();
    assert.equal(await key.page.locator("#check").textContent(), checkCode);
    await key.page.getByRole("button", { name: "Add a passkey or security key" }).click();
    await key.page.getByText("Added: blue key").waitFor();
    assert.equal((await key.page.locator("#recovery-codes").textContent())?.split("\n").length, 10);
    assert.equal(await adding.ended(), 0, adding.screen);
    const factors = JSON.parse(cluster.mshOk(["mfa", "ls", "--format=json"], { home })) as readonly {
      name: string;
      type: string;
    }[];
    assert.deepEqual(
      factors.map(({ name, type }) => [name, type]),
      [["blue key", "hardware_key"]],
    );
    await key.visit(link);
    await key.page.getByText("This is done already").waitFor();
  });

  test("a login waits for the page, and goes on by itself", async () => {
    const { program, link } = await logIn();
    await key.page.getByRole("button", { name: "Use passkey or security key" }).click();
    await key.page.getByText("Your terminal goes on by itself").waitFor();
    assert.equal(await program.ended(), 0, program.screen);
    await key.visit(link);
    await key.page.getByText("this link was used already, or has run out; begin again").waitFor();
  });

  test("a counter that went back is refused and audited, and the login goes on waiting", async () => {
    await key.setCounter(0);
    const { program } = await logIn();
    const prove = key.page.getByRole("button", { name: "Use passkey or security key" });
    await prove.click();
    await key.page.getByText("the counter of this security key went back").waitFor();
    const [failed] = JSON.parse(cluster.mezctlOk(["audit", "ls", "--type=user.mfa.failed", "--format=json"])) as readonly {
      user_name: string;
      metadata: Readonly<Record<string, unknown>>;
    }[];
    assert.deepEqual([failed?.user_name, failed?.metadata["counter"]], ["alice", 1]);
    assert.equal(program.exitCode, null);
    await key.setCounter(1000);
    await prove.click();
    assert.equal(await program.ended(), 0, program.screen);
  });

  test("another key than the person's does nothing", async () => {
    const other = await BrowserPage.open(browser, { transport: "usb" });
    const { program, link } = await logIn();
    await other.visit(link);
    await other.page.getByRole("button", { name: "Use passkey or security key" }).click();
    await other.page
      .getByRole("alert")
      .getByText(/cancelled|took too long|refused/)
      .waitFor();
    assert.equal(program.exitCode, null);
    await other.page.context().close();
  });

  test("a link of an administrator adds a passkey or an app on the page, once", async () => {
    const { link } = JSON.parse(cluster.mezctlOk(["users", "add-mfa", "alice", "--type=webauthn", "--format=json"])) as {
      link: string;
    };
    const phone = await BrowserPage.open(browser, { transport: "internal" });
    await phone.visit(link);
    await phone.page.getByText("this link came to you from an administrator").waitFor();
    assert.equal(await phone.page.getByText("your terminal shows the number").isVisible(), false);
    await phone.page.getByRole("button", { name: "Show the QR code" }).click();
    await phone.page.getByRole("img", { name: "QR code" }).waitFor();
    const secret = (await phone.page.locator("#secret").textContent()) ?? "";
    const app = new AuthenticatorApp(secret.replaceAll(" ", ""));
    await phone.page.getByLabel("Code that the app shows").fill("000000");
    await phone.page.getByRole("button", { name: "Add the app" }).click();
    await phone.page.getByRole("alert").getByText("the code is wrong").waitFor();
    await phone.page.getByLabel("Code that the app shows").fill(await app.code());
    await phone.page.getByRole("button", { name: "Add the app" }).click();
    await phone.page.getByText("Added: authenticator-app").waitFor();
    await phone.visit(link);
    await phone.page.getByText("This is done already").waitFor();
    await phone.page.context().close();
    const after = typed("msh", ["login", "--user=alice"]);
    await after.answer(/Password of alice.*: $/, "password of alice 1");
    await after.printed(/With a passkey or security key: open https/);
    await after.answer(/Code of your authenticator app: $/, await app.code());
    assert.equal(await after.ended(), 0, after.screen);
  });

  test("a reset takes the keys away, and a login that waits for one ends", async () => {
    const { program } = await logIn();
    await program.answer(/Code of your authenticator app: $/, "");
    cluster.mezctlOk(["users", "reset-webauthn", "alice"]);
    await key.page.getByRole("button", { name: "Use passkey or security key" }).click();
    await key.page
      .getByRole("alert")
      .getByText(/begin again/)
      .waitFor();
    assert.equal(await program.ended(), 3, program.screen);
    assert.match(program.screen, /begin again/);
  });

  test("the page has no secret of the link in the server's log, and says what is wrong with a link", async () => {
    await key.visit(`https://localhost:${cluster.ports.web}/mfa#${"x".repeat(43)}`);
    await key.page.getByText("this link was used already, or has run out; begin again").waitFor();
    assert.ok(!cluster.server.output.includes("mfa#"));
  });

  test("without JavaScript the page says that it needs it, and nothing else", async () => {
    const context = await browser.newContext({ ignoreHTTPSErrors: true, javaScriptEnabled: false });
    const page = await context.newPage();
    await page.goto(`https://localhost:${cluster.ports.web}/mfa`);
    await page.locator("noscript p").waitFor();
    for (const text of ["One moment", "Go on only if", "Recovery codes"])
      assert.equal(await page.getByText(text).first().isVisible(), false, text);
    await context.close();
  });
});
