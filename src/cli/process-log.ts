// What the process itself has to say, as lines of its log: a defect that ends it, warnings of the
// runtime, what packages print. Runtimes write these to descriptors and wait for whoever reads them,
// Bun even with a defect, so that a process that should have died would hang.

import { format } from "node:util";
import type { SwitchgearLogger } from "../telemetry/log/index.ts";
import { tellPeople } from "../telemetry/log/standard-output.ts";
import { EXIT } from "./exit-codes.ts";

/** From now on, for the whole process. */
export function logProcess(logger: SwitchgearLogger): void {
  const die = (error: unknown): void => {
    logger.fatal({ err: error }, "a defect ends this process");
    tellPeople(`a defect ends this process: ${format(error)}`);
    process.exit(EXIT.failed);
  };
  process.on("uncaughtException", die);
  process.on("unhandledRejection", die);

  // Without a listener somebody has switched them off.
  if (process.listenerCount("warning") > 0) {
    process.removeAllListeners("warning");
    process.on("warning", (warning) => logger.warn(format(warning)));
  }

  const prints = (level: "info" | "warn" | "error") => {
    return (...parts: unknown[]): void => logger[level](format(...parts));
  };
  Object.assign(console, {
    log: prints("info"),
    info: prints("info"),
    debug: prints("info"),
    warn: prints("warn"),
    error: prints("error"),
  });
}
