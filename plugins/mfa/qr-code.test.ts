import assert from "node:assert/strict";
import test from "node:test";
import { qrText } from "./qr-code.js";

const URI = "otpauth://totp/dev:alice?secret=MFRGGZDFMZTWQ2LK&issuer=dev";

test("a QR code on a terminal is black on white in every line, quiet zone and all", async () => {
  const lines = (await qrText(URI, true)).split("\n").filter((line) => line !== "");
  assert.ok(lines.length > 15);
  for (const line of lines) assert.match(line, /^\x1b\[38;5;16;48;5;231m[ █▀▄]+\x1b\[0m$/);
});

test("where colours are not wanted it has none, and is the same code", async () => {
  const plain = await qrText(URI, false);
  assert.match(plain, /^[ █▀▄\n]+$/);
  assert.equal((await qrText(URI, true)).replace(/\x1b\[[0-9;]+m/g, ""), plain);
});
