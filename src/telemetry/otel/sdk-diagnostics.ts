// What OpenTelemetry's SDK has to complain of, in our own log: a variable that it cannot use, a
// collector that is away. Without this it says nothing at all, and nobody learns why no span arrives.

import { diag, DiagLogLevel, type DiagLogger } from "@opentelemetry/api";
import { oneLine } from "../log/escape.ts";

/** The part of pino's logger that is used. */
export interface SdkLog {
  warn(message: string): unknown;
}

/** A collector that is away is told of at each attempt, every few seconds. */
const AGAIN_MS = 10 * 60_000;

/** Different complaints that are remembered as told. */
const TOLD_MAX = 100;

const CHARACTERS_MAX = 500;

/** Addresses may hold a user and a password. */
const CREDENTIALS = /\/\/[^/@\s]*@/g;

/** Warnings and errors of the SDK go to `log` from now on, each at most once in ten minutes. */
export function tellSdkTroubles(log: SdkLog, nowMs: () => number = () => performance.now()): void {
  const told = new Map<string, number>();
  const tell = (message: string, ...details: unknown[]): void => {
    const text = [message, ...details]
      .map((part) => (part instanceof Error ? part.message : String(part)))
      .join(" ")
      .replaceAll(CREDENTIALS, "//***@");
    const line = oneLine(text).slice(0, CHARACTERS_MAX);
    const atMs = nowMs();
    if (atMs - (told.get(line) ?? -Infinity) < AGAIN_MS) return;
    if (told.size >= TOLD_MAX) told.clear();
    told.set(line, atMs);
    log.warn(`OpenTelemetry: ${line}`);
  };
  const logger: DiagLogger = {
    error: tell,
    warn: tell,
    info: () => {},
    debug: () => {},
    verbose: () => {},
  };
  diag.setLogger(logger, { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true });
}
