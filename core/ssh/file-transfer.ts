/** Tells whether a command line starts a known file-transfer program in its server mode. Errs on the side of yes. */
export function isFileCopy(command: string): boolean {
  return command.split(/[;&|\n()`]|\$\(/).some((part) => {
    const words = part.trim().split(/\s+/).map(unquoted);
    const start = words.findIndex((word) => !PREFIXES.has(word) && !/^[A-Za-z_]\w*=/.test(word));
    const [program = "", ...rest] = start < 0 ? [] : words.slice(start);
    return isCopyProgram(baseName(program), rest);
  });
}

/**
 * Tells whether a command line is a file transfer and nothing else, so that its output is the content of files and is
 * not recorded. Errs on the side of no: whatever the shell could read as something more is recorded.
 */
export function isPlainTransfer(command: string): boolean {
  if (!PLAIN.test(command)) return false;
  const [program = "", ...rest] = command.trim().split(/\s+/).map(unquoted);
  const name = baseName(program);
  if (/^git-(?:upload-pack|receive-pack|upload-archive)$/.test(name)) return true;
  return isCopyProgram(name, rest) && !rest.some((word) => /^--?rsh|^--rsync-path|^-[A-Za-z]*S$/.test(word));
}

// --- internal ---

/** One simple command: bare words, and quotes in which nothing is expanded. */
const PLAIN = /^(?:[A-Za-z0-9_@%+=:,./~ -]|\\[^\n]|'[^'\n]*'|"[^"$`\\\n]*")+$/;
const PREFIXES = new Set(["", "exec", "command", "env", "nice", "nohup", "sudo", "time"]);

function isCopyProgram(program: string, rest: readonly string[]): boolean {
  if (program === "sftp-server") return true;
  if (program === "scp") return rest.some((word) => /^-[A-Za-z]*[tf]/.test(word));
  return program === "rsync" && rest.includes("--server");
}

function unquoted(word: string): string {
  return word.replace(/["'\\]/g, "");
}

function baseName(program: string): string {
  return program.slice(program.lastIndexOf("/") + 1);
}
