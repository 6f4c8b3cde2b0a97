// From a file and the environment to a frozen configuration, or to one error that lists every fault.
//
// Order: read (bounded) → YAML with places → `${NAME}` → schema → ports from the environment → freeze. A mistake in
// one place never hides one in another, except that wrong YAML syntax is reported alone.

import type { Environment } from "./environment.ts";
import { Explainer, valueAt } from "./explain.ts";
import type { ConfigFault } from "./fault.ts";
import { ConfigError } from "./fault.ts";
import type { JsonSchema } from "./json-schema.ts";
import { configJsonSchema } from "./json-schema.ts";
import { leadsTo, ownAddresses, type Listener } from "./own-address.ts";
import { readFailure, readFileBounded } from "./read-file.ts";
import { showPath, showValue } from "./redact.ts";
import type { SwitchgearConfig } from "./schema.ts";
import { configSchema, portNumber } from "./schema.ts";
import { readCertificates } from "./tls.ts";
import type { LocatedYaml } from "./yaml.ts";
import { placeKey, readYaml } from "./yaml.ts";

export const CONFIG_FILE_DEFAULT = "switchgear.yaml";
// A thousand upstreams with every option written out take about half of this.
const FILE_BYTES_MAX = 1024 ** 2;

export interface ParseOptions {
  /** Shown in messages. */
  readonly file: string;
  /** For `${NAME}`, `SWITCHGEAR_PORT` and `SWITCHGEAR_ADMIN_PORT`. Default: empty. */
  readonly env?: Environment;
}

/**
 * Reads the file at `path`, else the one that `SWITCHGEAR_CONFIG` names, else `switchgear.yaml`. Throws `ConfigError`
 * and nothing else.
 */
export function loadConfig(path: string | undefined, env: Environment): SwitchgearConfig {
  const file = configFile(path, env);
  return parseConfig(readText(file), { file, env });
}

/** Which file `loadConfig` reads. */
export function configFile(path: string | undefined, env: Environment): string {
  return path ?? (env["SWITCHGEAR_CONFIG"] || CONFIG_FILE_DEFAULT);
}

/** As `loadConfig`, from text. */
export function parseConfig(text: string, options: ParseOptions): SwitchgearConfig {
  const { file, env = {} } = options;
  if (Buffer.byteLength(text) > FILE_BYTES_MAX) throw tooLong(file);
  const yaml = readYaml(text, env);
  const faults: ConfigFault[] = [...yaml.faults];
  const config = yaml.value === undefined ? undefined : validate(yaml, faults);
  const ports = readPorts(env, faults);
  if (config !== undefined) {
    if (ports.gateway !== undefined) config.gateway.port = ports.gateway;
    if (ports.admin !== undefined) config.admin.port = ports.admin;
    checkPortsDiffer(config, yaml, faults);
    checkLoops(config, yaml, faults);
    checkCertificates(config, yaml, faults);
  }
  if (config === undefined || faults.length > 0) throw new ConfigError(file, faults);
  return deepFreeze(config);
}

function whole(message: string): ConfigFault {
  return { path: "", line: 0, column: 0, message };
}

function tooLong(file: string): ConfigError {
  return new ConfigError(file, [whole(`the file is longer than ${FILE_BYTES_MAX} bytes`)]);
}

function readText(file: string): string {
  let bytes: Buffer | undefined;
  try {
    bytes = readFileBounded(file, FILE_BYTES_MAX);
  } catch (error) {
    throw new ConfigError(file, [whole(`the file cannot be read: ${readFailure(error)}`)]);
  }
  if (bytes === undefined) throw tooLong(file);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new ConfigError(file, [whole("the file is not valid UTF-8")]);
  }
}

// Rendered once per process, and only when there is something to explain.
let jsonSchema: JsonSchema | undefined;

function validate(
  yaml: LocatedYaml,
  faults: ConfigFault[],
): ReturnType<typeof configSchema.parse> | undefined {
  let result = configSchema.safeParse(yaml.value);
  if (!result.success && readNumbersFromEnvironment(yaml, result.error.issues))
    result = configSchema.safeParse(yaml.value);
  if (result.success) return result.data;
  jsonSchema ??= configJsonSchema();
  const explainer = new Explainer(yaml, jsonSchema);
  const seen = new Set<string>();
  for (const fault of result.error.issues.flatMap((issue) => explainer.explain(issue))) {
    const identity = JSON.stringify([fault.path, fault.message]);
    if (!seen.has(identity)) faults.push(fault);
    seen.add(identity);
  }
  return undefined;
}

const NUMERAL = /^-?\d{1,16}(?:\.\d{1,16})?$/;

/** `port: ${PORT}` is text to YAML; where the option is a number and the text is one, it is read as one. */
function readNumbersFromEnvironment(
  yaml: LocatedYaml,
  issues: readonly { code?: string; expected?: unknown; path: PropertyKey[] }[],
): boolean {
  let changed = false;
  for (const { code, expected, path } of issues) {
    const isNumber = code === "invalid_type" && (expected === "number" || expected === "int");
    if (!isNumber || yaml.places.get(placeKey(path))?.fromEnvironment !== true) continue;
    const parent = valueAt(yaml.value, path.slice(0, -1));
    const last = path.at(-1) ?? "";
    const text = valueAt(parent, [last]);
    if (typeof parent !== "object" || parent === null) continue;
    if (typeof text !== "string" || !NUMERAL.test(text)) continue;
    Reflect.set(parent, last, Number(text));
    changed = true;
  }
  return changed;
}

function readPort(env: Environment, name: string, faults: ConfigFault[]): number | undefined {
  const text = env[name];
  if (text === undefined) return undefined;
  const result = portNumber.schema.safeParse(/^\d{1,5}$/.test(text) ? Number(text) : undefined);
  if (result.success) return result.data;
  // Kubernetes sets NAME_PORT to such a URL for every service of the namespace, ours included.
  const hint = text.startsWith("tcp://")
    ? "; Kubernetes sets this for a service of that name unless the pod has enableServiceLinks: false"
    : "";
  const message = `expected ${portNumber.expects}, found ${showValue(text, [name], false)}${hint}`;
  faults.push({ path: name, line: 0, column: 0, message });
  return undefined;
}

function readPorts(
  env: Environment,
  faults: ConfigFault[],
): { gateway: number | undefined; admin: number | undefined } {
  return {
    gateway: readPort(env, "SWITCHGEAR_PORT", faults),
    admin: readPort(env, "SWITCHGEAR_ADMIN_PORT", faults),
  };
}

const ANY_HOST: ReadonlySet<string> = new Set(["0.0.0.0", "::"]);

function checkPortsDiffer(
  config: SwitchgearConfig,
  yaml: LocatedYaml,
  faults: ConfigFault[],
): void {
  const { gateway, admin } = config;
  const sharesHost =
    gateway.host === admin.host || ANY_HOST.has(gateway.host) || ANY_HOST.has(admin.host);
  if (gateway.port === 0 || gateway.port !== admin.port || !sharesHost) return;
  faults.push(
    faultAt(yaml, ["admin", "port"], `gateway and admin cannot share port ${admin.port}`),
  );
}

function faultAt(yaml: LocatedYaml, path: readonly PropertyKey[], message: string): ConfigFault {
  const { line, column } = yaml.places.get(placeKey(path))?.value ?? { line: 0, column: 0 };
  return { path: showPath(path), line, column, message };
}

/** Of the files that upstreams name, and whatever is wrong with them. */
function checkCertificates(
  config: SwitchgearConfig,
  yaml: LocatedYaml,
  faults: ConfigFault[],
): void {
  for (const [name, { tls }] of Object.entries(config.upstreams)) {
    readCertificates(tls, (path, message) =>
      faults.push(faultAt(yaml, ["upstreams", name, ...path], message)),
    );
  }
}

function checkLoops(config: SwitchgearConfig, yaml: LocatedYaml, faults: ConfigFault[]): void {
  const { gateway, admin } = config;
  const listeners: readonly Listener[] = [
    { name: "gateway", ...gateway },
    { name: "admin", ...admin },
  ];
  const own = ownAddresses();
  for (const [name, { url, endpoints }] of Object.entries(config.upstreams)) {
    const places =
      endpoints === undefined
        ? [{ url, path: ["upstreams", name, "url"] }]
        : endpoints.map((one, at) => ({
            url: one.url,
            path: ["upstreams", name, "endpoints", at, "url"],
          }));
    for (const place of places) {
      const listener = leadsTo(new URL(place.url), listeners, own);
      if (listener === undefined) continue;
      const what =
        listener.name === "gateway"
          ? "the gateway itself: one call would become thousands"
          : "the admin interface, which would be open to every caller";
      faults.push(faultAt(yaml, place.path, `it leads to ${what}`));
    }
  }
}

function deepFreeze<T>(value: T): T {
  if (typeof value === "object" && value !== null) {
    for (const inner of Object.values(value)) deepFreeze(inner);
    Object.freeze(value);
  }
  return value;
}
