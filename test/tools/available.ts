// Whether the real programs can be had here, so that a test which needs them can say why it is skipped.

import { toolPath, type Tool } from "./build.ts";

/** What the rules are tested with. */
const RULES: readonly Tool[] = ["prometheus", "promtool", "alertmanager", "amtool"];

/** False when all are there or could be built. Any fault but a missing Go is the caller's to see. */
export function whyNoTools(tools = RULES): string | false {
  try {
    for (const tool of tools) toolPath(tool);
    return false;
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    if (message.startsWith("Building the test tools needs")) return message;
    throw error;
  }
}
