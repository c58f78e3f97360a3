import { html } from "../../core/plugin/html.js";
import type { WebResponse } from "../../core/plugin/web.js";
import { webPage } from "../../core/plugin/web-page.js";
import { pageResponse } from "../../core/plugin/web-response.js";

/** Where `PAGE_SCRIPT` is served, and the library that it uses. */
export const PAGE_SCRIPT_PATH = "/assets/mfa.js";
export const WEBAUTHN_SCRIPT_PATH = "/assets/webauthn.js";

/**
 * The page of every link. The link's secret is the fragment of its address, which browsers keep to themselves, so that it
 * stands in no log; the script sends it on and fills the page in.
 */
export function mfaPage(): WebResponse {
  const content = html`<noscript><p class="bad">This page needs JavaScript.</p></noscript>
    <p id="loading" hidden>One moment …</p>
    <p id="problem" class="bad" role="alert" hidden></p>
    <p id="done" class="good" role="status" hidden></p>
    <section id="about" hidden>
      <p id="what"></p>
      <p id="own">Go on only if you began this yourself, and your terminal shows the number <strong id="check"></strong>.</p>
      <p id="sent" hidden>Go on only if this link came to you from an administrator whom you trust.</p>
    </section>
    <section id="prove" hidden>
      <button id="prove-button" type="button">Use passkey or security key</button>
    </section>
    <section id="enrol" hidden>
      <label for="name">Name of the new factor (may stay empty)</label>
      <input id="name" maxlength="64" autocomplete="off">
      <h2>Passkey or security key</h2>
      <button id="passkey-button" type="button">Add a passkey or security key</button>
      <h2>Authenticator app</h2>
      <button id="totp-button" type="button">Show the QR code</button>
      <form id="totp-form" hidden>
        <div id="qr"></div>
        <p>Without a camera, type this key in: <code id="secret"></code></p>
        <label for="code">Code that the app shows</label>
        <input id="code" inputmode="numeric" autocomplete="one-time-code" maxlength="7" required>
        <button type="submit">Add the app</button>
      </form>
    </section>
    <section id="recovery" hidden>
      <h2>Recovery codes</h2>
      <p>Each is good for one login without your factor. Keep them in a safe place; they are shown only now.</p>
      <pre id="recovery-codes"></pre>
    </section>`;
  return pageResponse(webPage({ title: "Second factor", content, scripts: [WEBAUTHN_SCRIPT_PATH, PAGE_SCRIPT_PATH] }));
}
