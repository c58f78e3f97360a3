import { MezError } from "../../core/errors/error.js";
import type { Traits } from "../../core/plugin/caller.js";

/** A login of a role: a name as it stands, or a template that takes a trait's values with a fixed text around each. */
export type LoginTemplate =
  | { readonly kind: "name"; readonly name: string }
  | {
      readonly kind: "trait";
      readonly source: "internal" | "external";
      readonly trait: string;
      readonly prefix: string;
      readonly suffix: string;
    };

/**
 * Reads `ubuntu`, `{{internal.logins}}` or `svc-{{external.team}}-ro`.
 * @throws {MezError} `INVALID_ARGUMENT`
 */
export function parseLoginTemplate(text: string): LoginTemplate {
  const match = TEMPLATE.exec(text);
  if (match) {
    const [, prefix = "", source, trait = "", suffix = ""] = match;
    if (!AFFIX.test(prefix) || !AFFIX.test(suffix)) throw invalid(text);
    return { kind: "trait", source: source as "internal" | "external", trait, prefix, suffix };
  }
  if (!isLogin(text)) throw invalid(text);
  return { kind: "name", name: text };
}

/** The logins that a template gives for these traits. An unset trait gives none; a value that is no login name is left out. */
export function expandLogin(template: LoginTemplate, traits: Traits): readonly string[] {
  if (template.kind === "name") return [template.name];
  const values = traits[template.source];
  if (!Object.hasOwn(values, template.trait)) return [];
  return (values[template.trait] ?? []).map((value) => `${template.prefix}${value}${template.suffix}`).filter(isLogin);
}

/** Tells whether a text can be the name of an account on a node. */
export function isLogin(text: string): boolean {
  return LOGIN.test(text);
}

// --- internal ---

const TEMPLATE = /^([^{}]*)\{\{\s*(internal|external)\.([A-Za-z0-9_][A-Za-z0-9_.:/-]{0,127})\s*\}\}([^{}]*)$/;
const LOGIN = /^[A-Za-z0-9_][A-Za-z0-9_.@+\\-]{0,63}\$?$/;
const AFFIX = /^[A-Za-z0-9_.@+\\-]{0,32}$/;

function invalid(text: string): MezError {
  const shown = text.replace(/\p{Cc}/gu, "?").slice(0, 60);
  return new MezError(
    "INVALID_ARGUMENT",
    `login "${shown}" is not valid; write a name such as ubuntu, or a template such as {{internal.logins}} or {{external.username}}`,
  );
}
