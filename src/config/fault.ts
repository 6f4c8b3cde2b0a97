// What is wrong with a configuration: one fault per mistake, all of them in one error.

/** One mistake. `line` and `column` count from 1; both are 0 when the mistake is not in the file. */
export interface ConfigFault {
  /** Dotted path of the option (`upstreams.draftkings.url`), or the name of an environment variable. Empty: the whole file. */
  readonly path: string;
  readonly line: number;
  readonly column: number;
  /** What was found and what would be right. Never holds a secret. */
  readonly message: string;
  /** The nearest name that would have been right. */
  readonly suggestion?: string;
}

// A megabyte of unknown keys would otherwise become a hundred megabytes of message.
const FAULTS_MAX = 100;

function formatFault(file: string, fault: ConfigFault): string {
  const where = fault.line > 0 ? `${file}:${fault.line}:${fault.column}` : "";
  const start = [where, fault.path].filter((part) => part !== "").join(" ");
  const hint = fault.suggestion === undefined ? "" : `; did you mean "${fault.suggestion}"?`;
  return `${start === "" ? "" : `${start}: `}${fault.message}${hint}`;
}

function byPosition(left: ConfigFault, right: ConfigFault): number {
  return left.line - right.line || left.column - right.column;
}

/**
 * Every fault of a configuration at once, in the order of the file. `message` is ready to be shown to a person;
 * programs read `faults`. Only the first hundred are kept; `omitted` counts the rest.
 */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  readonly code = "SG_CONFIG_INVALID";
  readonly file: string;
  readonly faults: readonly ConfigFault[];
  readonly omitted: number;

  constructor(file: string, faults: readonly ConfigFault[]) {
    const kept = faults.toSorted(byPosition).slice(0, FAULTS_MAX);
    const omitted = faults.length - kept.length;
    const lines = kept.map((fault) => `  ${formatFault(file, fault)}`);
    if (omitted > 0) lines.push(`  and ${omitted} more`);
    const count = faults.length === 1 ? "1 fault" : `${faults.length} faults`;
    super(`${file} has ${count}:\n${lines.join("\n")}`);
    this.file = file;
    this.faults = Object.freeze(kept.map((fault) => Object.freeze({ ...fault })));
    this.omitted = omitted;
  }
}
