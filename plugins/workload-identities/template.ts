/** What a template may name: a host and what is asked for there. */
export interface TemplateValues {
  /** `null` where no node has the agent identity's name. */
  readonly node: { readonly name: string; readonly labels: Readonly<Record<string, string>> } | null;
  /** Of the agent identity. */
  readonly identityName: string;
  /** Of the workload identity. */
  readonly workloadName: string;
}

/** A kind of text with values in it. */
export interface Template {
  readonly what: string;
  /** What the finished text must be. */
  readonly whole: RegExp;
  /** What a value must be, so that none can add a part of its own. */
  readonly value: RegExp;
  readonly example: string;
}

/** Segments of letters, digits, dots, dashes and underscores. @see SPIFFE-ID, 2.2 */
export const PATH_TEMPLATE: Template = {
  what: "SPIFFE ID path",
  whole: /^(?=.{2,1024}$)(?:\/(?!\.{1,2}(?:\/|$))[A-Za-z0-9._-]+)+$/,
  value: /^(?!\.{1,2}$)[A-Za-z0-9._-]{1,256}$/,
  example: "/ns/{{node.labels.env}}/payments",
};

/** A host name. @see RFC 1123, 2.1 */
export const DNS_TEMPLATE: Template = {
  what: "DNS name",
  whole: /^(?=.{1,253}$)(?!-)[A-Za-z0-9_-]{1,63}(?:\.(?!-)[A-Za-z0-9_-]{1,63})*$/,
  value: /^[A-Za-z0-9_.-]{1,253}$/,
  example: "{{node.name}}.internal",
};

/** Why `text` is no such template, `null` when it is one. */
export function templateProblem({ what, whole, example }: Template, text: string): string | null {
  const shown = text.replace(/\p{Cc}/gu, "?").slice(0, 80);
  for (const [placeholder] of text.matchAll(/\{\{[^}]*\}*/g)) {
    if (placeholder.replace(PLACEHOLDER, "") !== "")
      return `"${placeholder.slice(0, 60)}" is unknown; use {{node.name}}, {{node.labels.<name>}}, {{identity.name}} or {{workload.name}}`;
  }
  return whole.test(text.replace(PLACEHOLDER, "x")) ? null : `"${shown}" is no ${what}; write one such as ${example}`;
}

/** Fills a template in. `null` when a value is missing, or is not of the kind that may stand there. */
export function renderTemplate({ whole, value }: Template, text: string, values: TemplateValues): string | null {
  let isComplete = true;
  const rendered = text.replace(PLACEHOLDER, (_placeholder, name: string) => {
    const found = valueAt(name, values);
    if (found !== null && value.test(found)) return found;
    isComplete = false;
    return "";
  });
  return isComplete && whole.test(rendered) ? rendered : null;
}

// --- internal ---

const PLACEHOLDER = /\{\{\s*(node\.name|node\.labels\.[A-Za-z0-9_][A-Za-z0-9_.:/-]{0,127}|identity\.name|workload\.name)\s*\}\}/g;
const LABEL = "node.labels.";

function valueAt(name: string, { node, identityName, workloadName }: TemplateValues): string | null {
  if (name === "identity.name") return identityName;
  if (name === "workload.name") return workloadName;
  if (name === "node.name") return node?.name ?? null;
  const label = name.slice(LABEL.length);
  return node !== null && Object.hasOwn(node.labels, label) ? (node.labels[label] ?? null) : null;
}
