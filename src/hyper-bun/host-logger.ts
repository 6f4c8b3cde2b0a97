// The loggers that hosts have: pino and its like, `StructuredLogger`s that know changes of state and no
// lines, and those called with a code first. Every line reaches whichever it is; what a logger has no
// method for, or throws at, goes to the console.

import { whenRejected } from "../core/foreign.ts";
import type { PinoLike } from "../telemetry/log/lines.ts";
import { printLine } from "./console-line.ts";

/** What a method of either style is called with first: the fields of the line, or its code. */
export type LineHead = string & Record<string, unknown>;

export type HostLogMethod = (first: LineHead, message: string, error?: Error) => unknown;

/**
 * A logger with methods as pino has them, `(fields, message)`, or as `(code, message, error)`. Levels
 * that are missing are left out, save in a logger that has `logCircuitBreakerState`: those are printed.
 */
export interface HostLogger {
  readonly fatal?: HostLogMethod | undefined;
  readonly error?: HostLogMethod | undefined;
  readonly warn?: HostLogMethod | undefined;
  readonly info?: HostLogMethod | undefined;
  /** Hyper-Bun's `StructuredLogger` has it; told of each change of state and its cause. */
  logCircuitBreakerState?(
    bookmaker: string,
    state: "open" | "closed" | "half-open",
    reason: string,
  ): unknown;
}

/** How a logger's methods are called: `fields` as `(fields, message)`, `code` as `(code, message, error)`. */
export type LoggerStyle = "fields" | "code";

/** Names and parameters of a method stand at the beginning of its source. */
const SOURCE_READ_MAX = 200;

type Level = keyof PinoLike;

type Fields = Record<string, unknown>;

export const consoleLogger: PinoLike = eachLevel((level) => (fields, message) => {
  try {
    printLine(level, fields, message);
  } catch {
    // There is nobody left to tell.
  }
});

/** The host's logger under pino's contract. It never throws. */
export function linesTo(logger: HostLogger, style: LoggerStyle | undefined): PinoLike {
  const isPrinted = logger.logCircuitBreakerState !== undefined;
  return eachLevel((level) => (fields, message) => {
    const method = level === "fatal" ? (logger.fatal ?? logger.error) : logger[level];
    if (method === undefined) {
      if (isPrinted) consoleLogger[level](fields, message);
      return;
    }
    const lost = (): void => void consoleLogger[level](fields, message);
    try {
      const answer: unknown =
        (style ?? styleOf(method)) === "code"
          ? Reflect.apply(method, logger, [codeOf(fields), message, errorOf(fields)])
          : Reflect.apply(method, logger, [fields, message]);
      whenRejected(answer, lost);
    } catch {
      lost();
    }
  });
}

function eachLevel(method: (level: Level) => (fields: Fields, message: string) => void): PinoLike {
  return {
    fatal: method("fatal"),
    error: method("error"),
    warn: method("warn"),
    info: method("info"),
  };
}

/** What the first parameter is called says it; where it is called anything, a third one does. */
function styleOf(method: HostLogMethod): LoggerStyle {
  const source = Function.prototype.toString.call(method).slice(0, SOURCE_READ_MAX);
  const first = /^[^(]*\(\s*([\w$]+|\{)?/.exec(source)?.[1] ?? "";
  if (/^_?(?:log)?code$/i.test(first)) return "code";
  if (/^(?:\{|_?(?:fields|obj|object|context|ctx|meta|data|details|bindings))$/i.test(first)) {
    return "fields";
  }
  return method.length >= 3 ? "code" : "fields";
}

function codeOf({ code }: Fields): string {
  return typeof code === "string" ? code : "";
}

function errorOf({ error }: Fields): Error | undefined {
  return typeof error === "string" ? new Error(error) : undefined;
}
