/**
 * Lets a call run for as long as `admit`, repeated every `everyMs`, does not throw.
 * @returns What `running` comes to, or a rejection with what `admit` threw; `running` is left to itself then.
 */
export async function whileAdmitted<Result>(
  running: Promise<Result>,
  admit: () => Promise<unknown>,
  everyMs: number,
): Promise<Result> {
  let timer: NodeJS.Timeout | undefined;
  const refused = new Promise<never>((_resolve, reject) => {
    timer = setInterval(() => void admit().catch(reject), everyMs);
  });
  try {
    return await Promise.race([running, refused]);
  } finally {
    clearInterval(timer);
  }
}
