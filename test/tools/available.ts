// Whether the real programs can be had here, so that a test which needs them can say why it is skipped.

import { toolPath } from "./build.ts";

/** False when all are there or could be built. Any fault but a missing Go is the caller's to see. */
export function whyNoTools(): string | false {
  try {
    for (const tool of ["prometheus", "promtool", "alertmanager", "amtool"] as const) {
      toolPath(tool);
    }
    return false;
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    if (message.startsWith("Building the test tools needs")) return message;
    throw error;
  }
}
