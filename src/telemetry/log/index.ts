// `switchgear/pino`: the log lines of breakers, and pino as the process's own logger for them.

export { attachLogging } from "./attach.ts";
export type { LoggingOptions, LoggingSource } from "./attach.ts";
export { LOG_CODES, logAlertFailure } from "./lines.ts";
export type { PinoLike } from "./lines.ts";
export { createLogger, hyperBunStream } from "./pino-logger.ts";
export type { LogDestination, LoggerOptions, SwitchgearLogger } from "./pino-logger.ts";
export type { LogHealth } from "./output.ts";
export { hyperBunFormat } from "./format.ts";
