// Lines for the host's console, in Hyper-Bun's own format. Bun's console waits for whoever reads it, and
// a reader that is stuck would stop the host with the first refusals of an outage: where the console is
// the runtime's, lines go to the same place without waiting. One that the host has put there is called.

import { hyperBunFormat } from "../telemetry/log/format.ts";
import { LOG_CODES } from "../telemetry/log/lines.ts";
import { gapMessage } from "../telemetry/log/output.ts";
import { standardError, standardOutput } from "../telemetry/log/standard-output.ts";

type Fields = Readonly<Record<string, unknown>>;

export function printLine(
  level: "fatal" | "error" | "warn" | "info",
  fields: Fields,
  message: string,
): void {
  const name = level === "fatal" ? "error" : level;
  const text = line(level, fields, message);
  // oxlint-disable-next-line no-console -- it is where a host's lines belong without a logger
  const print: (text: string) => unknown = console[name];
  if (!isRuntimes(print, name)) {
    print.call(console, text);
    return;
  }
  const output = name === "info" ? standardOutput() : standardError();
  output.gapLine ??= gapLine;
  output.write(`${text}\n`);
}

function isRuntimes(print: (text: string) => unknown, name: string): boolean {
  const source = Function.prototype.toString.call(print);
  return print.name === name && source.includes("{ [native code] }");
}

function gapLine(dropped: number): string {
  return `${line("warn", { code: LOG_CODES.log }, gapMessage(dropped))}\n`;
}

function line(level: string, fields: Fields, message: string): string {
  return hyperBunFormat(JSON.stringify({ ...fields, level, time: Date.now(), msg: message }));
}
