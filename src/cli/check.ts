// check: validates a configuration file, or prints its JSON Schema for editors.

import { configJsonSchema } from "../config/json-schema.ts";
import { loadConfig } from "../config/load.ts";
import type { Environment } from "../config/environment.ts";
import { printJson, say } from "./print.ts";

export function checkCommand(
  file: string | undefined,
  options: { readonly schema?: boolean | undefined; readonly json?: boolean | undefined },
  env: Environment,
): void {
  if (options.schema === true) {
    printJson(configJsonSchema());
    return;
  }
  const config = loadConfig(file, env);
  const names = Object.keys(config.upstreams);
  if (options.json === true) printJson({ ok: true, upstreams: names });
  else say(`ok: ${names.length} upstream${names.length === 1 ? "" : "s"}: ${names.join(", ")}`);
}
