/** The script of the page. Texts of the server are only ever put in as text, never as HTML. */
export const PAGE_SCRIPT = String.raw`const { startAuthentication, startRegistration } = globalThis.SimpleWebAuthnBrowser;
const element = (id) => document.getElementById(id);
const show = (id, visible) => { element(id).hidden = !visible; };
const link = location.hash.slice(1);

async function call(path, body) {
  const response = await fetch("/v1/webapi/mfa/" + path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ link, ...body }),
  });
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.detail || "the server did not answer");
  return answer;
}

function fail(error) {
  const cancelled = error.name === "NotAllowedError" || error.name === "AbortError";
  const reason = error.message.charAt(0).toUpperCase() + error.message.slice(1) + ".";
  element("problem").textContent = cancelled ? "It was cancelled, or took too long. Try again." : reason;
  show("problem", true);
}

function finish(text, recoveryCodes) {
  for (const id of ["about", "prove", "enrol"]) show(id, false);
  element("done").textContent = text;
  show("done", true);
  if (recoveryCodes && recoveryCodes.length > 0) {
    element("recovery-codes").textContent = recoveryCodes.join("\n");
    show("recovery", true);
  }
}

function onClick(id, act) {
  element(id).addEventListener("click", async () => {
    show("problem", false);
    element(id).disabled = true;
    try {
      await act();
    } catch (error) {
      fail(error);
    } finally {
      element(id).disabled = false;
    }
  });
}

function drawQr({ size, path }) {
  const make = (name, attributes) => {
    const node = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    return node;
  };
  const svg = make("svg", { viewBox: "0 0 " + size + " " + size, class: "qr", role: "img", "aria-label": "QR code" });
  svg.append(make("path", { d: path, fill: "#000000" }));
  element("qr").replaceChildren(svg);
}

onClick("prove-button", async () => {
  const optionsJSON = JSON.parse((await call("login/options", {})).options);
  const answer = await startAuthentication({ optionsJSON });
  await call("login/finish", { answer: JSON.stringify(answer) });
  finish("Done. Your terminal goes on by itself; you can close this page.");
});

onClick("passkey-button", async () => {
  const optionsJSON = JSON.parse((await call("passkey/options", {})).options);
  const answer = await startRegistration({ optionsJSON });
  const added = await call("passkey/finish", { answer: JSON.stringify(answer), name: element("name").value });
  finish("Added: " + added.name, added.recovery_codes);
});

onClick("totp-button", async () => {
  const { secret, qr } = await call("totp/begin", {});
  element("secret").textContent = secret.replace(/(.{4})(?=.)/g, "$1 ");
  drawQr(qr);
  show("totp-form", true);
  element("code").focus();
});

element("totp-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  show("problem", false);
  try {
    const added = await call("totp/finish", { code: element("code").value, name: element("name").value });
    finish("Added: " + added.name, added.recovery_codes);
  } catch (error) {
    fail(error);
  }
});

show("loading", true);
try {
  const about = await call("describe", {});
  const from = about.client_address === "" ? "" : " from " + about.client_address;
  const what = {
    login: " logs in" + from,
    session: " opens an SSH session" + from,
    manage: " changes second factors" + from,
    enrol: " adds a second factor" + from,
  };
  element("what").textContent = about.user_name + what[about.purpose] + ", in the cluster " + about.cluster_name + ".";
  element("check").textContent = about.check_code;
  const isSent = about.purpose === "enrol" && about.client_address === "";
  show("own", !isSent);
  show("sent", isSent);
  if (about.is_done) finish("This is done already; you can close this page.");
  else {
    show("about", true);
    show(about.may_enrol ? "enrol" : "prove", true);
  }
} catch (error) {
  fail(error);
}
show("loading", false);
`;
