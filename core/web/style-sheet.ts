/** The one style sheet of all pages. */
export const STYLE_SHEET = `:root {
  color-scheme: light dark;
  --ink: light-dark(#1a1d21, #e6e8eb);
  --quiet: light-dark(#55606b, #a3adb8);
  --paper: light-dark(#ffffff, #16191d);
  --panel: light-dark(#f3f5f7, #20252b);
  --line: light-dark(#8a949e, #6d7781);
  --accent: light-dark(#0a58ca, #8ab8ff);
  --on-accent: light-dark(#ffffff, #0b1220);
  --bad: light-dark(#a8071a, #ff9c9c);
  --good: light-dark(#14691b, #8fdc95);
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 1.5rem; max-width: 40rem;
  font: 1rem/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
}
header p { margin: 0 0 2rem; font-weight: 700; color: var(--quiet); }
h1 { font-size: 1.5rem; line-height: 1.25; }
h2 { font-size: 1.15rem; }
a { color: var(--accent); }
.skip { position: absolute; left: -100vw; }
.skip:focus { left: 1rem; top: 0.5rem; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
main:focus { outline: none; }
pre, code { font-family: ui-monospace, monospace; font-size: 0.95em; overflow-wrap: anywhere; }
pre { padding: 0.75rem 1rem; background: var(--panel); border-radius: 0.4rem; white-space: pre-wrap; }
label { display: block; margin: 1rem 0 0.25rem; font-weight: 600; }
input, button, select { font: inherit; color: inherit; border-radius: 0.4rem; }
input, select { width: 100%; padding: 0.5rem 0.75rem; background: var(--paper); border: 1px solid var(--line); }
button, .button {
  display: inline-block; min-height: 2.75rem; margin: 1rem 0; padding: 0.5rem 1.25rem;
  font-weight: 600; color: var(--on-accent); background: var(--accent); border: 0; cursor: pointer; text-decoration: none;
}
button:disabled { opacity: 0.6; cursor: default; }
img, svg { max-width: 100%; height: auto; }
.qr { padding: 1rem; background: #ffffff; border-radius: 0.4rem; width: 16rem; }
.quiet { color: var(--quiet); font-size: 0.9rem; }
.bad, .good { padding: 0.75rem 1rem; background: var(--panel); border-left: 0.3rem solid; }
.bad { color: var(--bad); }
.good { color: var(--good); }
[hidden] { display: none; }
`;
