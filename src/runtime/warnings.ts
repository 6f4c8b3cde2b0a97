// The process's warnings: for what a host's code does wrong and no error can carry.

/** Shows once with the code `SG_MISUSE`, on standard error unless the host listens to `warning`. */
export function warnOfMisuse(sentence: string): void {
  process.emitWarning(sentence, { type: "SwitchgearWarning", code: "SG_MISUSE" });
}
