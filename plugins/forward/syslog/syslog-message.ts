import type { ForwardedEvent } from "../../../core/ports/audit-forwarder.js";

export interface SyslogOrigin {
  /** A name of `FACILITIES`. */
  readonly facility: string;
  readonly hostName: string;
  readonly processId: number;
}

/** Numbers of facilities. @see RFC 5424, 6.2.1 */
export const FACILITIES: Readonly<Record<string, number>> = {
  ...{ auth: 4, authpriv: 10, local0: 16, local1: 17, local2: 18, local3: 19, local4: 20, local5: 21, local6: 22, local7: 23 },
};

/**
 * Writes an event as a message of syslog: the code of the event is its MSGID, its text the event as JSON in ASCII. Severity
 * is "informational", and "warning" for refusals and failures.
 * @param maxBytes A longer message loses its metadata, which are named as cut; one that is still too long is cut.
 * @see RFC 5424, 6
 */
export function toSyslogMessage(event: ForwardedEvent, origin: SyslogOrigin, maxBytes: number): Buffer {
  const { hostName, processId } = origin;
  const time = event.timestamp.toISOString();
  const header = `${priorityOf(event, origin)}1 ${time} ${name(hostName, 255)} mezite ${processId} ${name(event.code, 32)} - `;
  return withText(header, event, maxBytes);
}

/**
 * The same for a local socket, whose readers take neither a version nor a host: time of this machine, program, the code of
 * the event and its JSON.
 * @see RFC 3164, 4.1; syslog(3)
 */
export function toLocalMessage(event: ForwardedEvent, origin: SyslogOrigin, maxBytes: number): Buffer {
  const [, month, day, , time] = event.timestamp.toString().split(" ");
  const header = `${priorityOf(event, origin)}${month} ${String(Number(day)).padStart(2)} ${time} mezite[${origin.processId}]: ${name(event.code, 32)} `;
  return withText(header, event, maxBytes);
}

// --- internal ---

const INFORMATIONAL = 6;
const WARNING = 4;

function priorityOf({ success }: ForwardedEvent, { facility }: SyslogOrigin): string {
  return `<${(FACILITIES[facility] ?? 4) * 8 + (success ? INFORMATIONAL : WARNING)}>`;
}

function withText(header: string, { json }: ForwardedEvent, maxBytes: number): Buffer {
  const whole = Buffer.from(header + ascii(json), "latin1");
  if (whole.length <= maxBytes) return whole;
  const short = JSON.stringify({ ...(JSON.parse(json) as object), metadata: { truncated: true } });
  return Buffer.from(header + ascii(short), "latin1").subarray(0, maxBytes);
}

/** Without other letters the message needs no byte order mark, which many receivers keep in the text. */
function ascii(json: string): string {
  return json.replace(/[\u007f-\uffff]/g, (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** What the header may hold: printable, no space, `-` for nothing. */
function name(text: string, max: number): string {
  return text.replace(/[^\x21-\x7e]/g, "").slice(0, max) || "-";
}
